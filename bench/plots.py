# SPDX-License-Identifier: MIT
"""Plots as SVG, by gnuplot. The bench and the demo draw with it."""

import subprocess


def plot(path, lines, title, x, y, logarithmic="xy", key="left top"):
    """lines: name -> [[x, y], …]. key: the place of the names, in gnuplot's words"""
    script = [f"set terminal svg size 720,420 font 'sans-serif,13' background 'white'; set output '{path}'",
              f"set title '{title}'",
              f"set xlabel '{x}'; set ylabel '{y}'; set key {key}; set grid", f"set logscale {logarithmic}"]
    curves = [f"'-' with linespoints lw 2 title '{name}'" for name in lines]
    script.append("plot " + ", ".join(curves))
    for points in lines.values():
        script += [f"{max(a, 0.5)} {b}" for a, b in points] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
