# SPDX-License-Identifier: MIT
"""A module that isn't there."""
# run: -m nothing.there
