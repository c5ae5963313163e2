/* SPDX-License-Identifier: Apache-2.0
 *
 * confread FILE: what libconfig alone needs to read a file. Prints the seconds that
 * config_read_file took, by the clock and of CPU; nothing is looked at and nothing is taken down.
 */
#include <libconfig.h>
#include <stdio.h>
#include <time.h>

static double
seconds(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	double wall, cpu;
	config_t c;

	if (argc != 2) {
		fprintf(stderr, "usage: confread FILE\n");
		return 64;
	}
	config_init(&c);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	if (config_read_file(&c, argv[1]) != CONFIG_TRUE) {
		fprintf(stderr, "confread: %s:%d: %s\n", argv[1], config_error_line(&c),
		    config_error_text(&c));
		return 1;
	}
	printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - wall,
	    seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	return 0;
}
