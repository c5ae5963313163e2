/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests that read what is no configuration, under the leak checker: libconfig forgets the
 * string it was in when it meets an error. The loader exits soon after. Included by one file of a
 * program.
 */
#ifndef GW_TEST_LIBCONFIG_LEAK_H
#define GW_TEST_LIBCONFIG_LEAK_H

const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

#endif
