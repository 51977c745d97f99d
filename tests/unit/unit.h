/* SPDX-License-Identifier: MIT */
#ifndef FSRV_TESTS_UNIT_H
#define FSRV_TESTS_UNIT_H

/* cmocka wants these before its own header */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
