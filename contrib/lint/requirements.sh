#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# An id that a test names stands in the list of requirements.
exec test/requirements --check
