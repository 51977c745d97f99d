# SPDX-License-Identifier: MIT
"""multiprocessing.log_to_stderr(): the children's own lines, once each."""
import logging
import multiprocessing as mp
import multiprocessing.util


def child(): multiprocessing.util.get_logger().info("said by the child")


if __name__ == "__main__":
    mp.log_to_stderr(logging.INFO)
    process = mp.Process(target=child)
    process.start(); process.join()
