/* SPDX-License-Identifier: Apache-2.0
 *
 * The cached clock of the process. Dates are worked out here and not by gmtime(3), which takes a
 * lock and looks at the environment.
 */
#include "shm/base/clock.h"

#include <time.h>

#define NS_PER_MS  1000000u
#define US_PER_SEC 1000000u

static struct clock_state {
	uint64_t mono_ns, wall_us;
	uint64_t wall_read_ms; /* mono time of the last look at the wall clock, + 1 */
	bool fake;
} now;

static uint64_t
read_clock(clockid_t id, uint64_t per_sec)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * per_sec + (uint64_t)ts.tv_nsec / (1000000000u / per_sec);
}

void
clock_tick(void)
{
	uint64_t ms;

	if (now.fake)
		return;
	now.mono_ns = read_clock(CLOCK_MONOTONIC, 1000000000u);
	ms = now.mono_ns / NS_PER_MS + 1;
	if (ms != now.wall_read_ms) {
		now.wall_read_ms = ms;
		now.wall_us = read_clock(CLOCK_REALTIME, US_PER_SEC);
	}
}

/* Before the first tick of a process there is still a time. */
static inline void
ensure(void)
{
	if (unlikely(now.mono_ns == 0))
		clock_tick();
}

uint64_t
clock_ns(void)
{
	ensure();
	return now.mono_ns;
}

uint64_t
clock_ms(void)
{
	return clock_ns() / NS_PER_MS;
}

uint64_t
clock_wall_us(void)
{
	ensure();
	return now.wall_us;
}

uint64_t
clock_precise_ns(void)
{
	return now.fake ? now.mono_ns : read_clock(CLOCK_MONOTONIC, 1000000000u);
}

void
clock_fake(uint64_t mono_ns, uint64_t wall_us)
{
	now = (struct clock_state){.mono_ns = mono_ns, .wall_us = wall_us};
	now.fake = mono_ns != 0 || wall_us != 0;
	if (!now.fake)
		clock_tick();
}

struct date {
	unsigned year, month, day;              /* month and day from 1 */
	unsigned hour, minute, second, weekday; /* Sunday 0 */
};

/* Gregorian date of a day counted from 1970-01-01. Years begin in March here, so that the leap day
 * is the last of its year, and are taken from 400-year cycles of 146097 days. */
static void
date_of_day(uint64_t days, struct date *d)
{
	uint64_t n = days + 719468; /* since 0000-03-01 */
	unsigned day = (unsigned)(n % 146097);
	unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	unsigned month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153;
	d->day = day - (153 * month + 2) / 5 + 1;
	d->month = month < 10 ? month + 3 : month - 9;
	d->year = (unsigned)(n / 146097) * 400 + year + (d->month <= 2);
	d->weekday = (unsigned)((days + 4) % 7);
}

static struct date
date_of(uint64_t wall_us)
{
	uint64_t seconds = wall_us / US_PER_SEC;
	unsigned in_day = (unsigned)(seconds % 86400);
	struct date d = {
	    .hour = in_day / 3600,
	    .minute = in_day / 60 % 60,
	    .second = in_day % 60,
	};

	date_of_day(seconds / 86400, &d);
	return d;
}

/* n decimal digits of v at *p, which moves behind them. */
static void
put_digits(char **p, unsigned v, unsigned n, char after)
{
	for (unsigned i = n; i-- > 0; v /= 10)
		(*p)[i] = (char)('0' + v % 10);
	(*p)[n] = after;
	*p += n + 1;
}

static void
rfc3339_second(uint64_t wall_us, char out[20])
{
	struct date d = date_of(wall_us);

	put_digits(&out, d.year, 4, '-');
	put_digits(&out, d.month, 2, '-');
	put_digits(&out, d.day, 2, 'T');
	put_digits(&out, d.hour, 2, ':');
	put_digits(&out, d.minute, 2, ':');
	put_digits(&out, d.second, 2, '.');
}

void
clock_rfc3339(uint64_t wall_us, char out[25])
{
	static uint64_t second; /* whose text is kept: many lines are of one */
	static char text[20];

	if (unlikely(wall_us / US_PER_SEC != second || text[0] == '\0')) {
		second = wall_us / US_PER_SEC;
		rfc3339_second(wall_us, text);
	}
	memcpy(out, text, sizeof(text));
	out += sizeof(text);
	put_digits(&out, (unsigned)(wall_us % US_PER_SEC / 1000), 3, 'Z');
	*out = '\0';
}

void
clock_http_now(char out[30])
{
	static uint64_t second;
	static char text[30];
	uint64_t wall = clock_wall_us();

	if (unlikely(wall / US_PER_SEC != second || text[0] == '\0')) {
		second = wall / US_PER_SEC;
		clock_http_date(wall, text);
	}
	memcpy(out, text, sizeof(text));
}

void
clock_http_date(uint64_t wall_us, char out[30])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct date d = date_of(wall_us);

	memcpy(out, days + 3 * d.weekday, 3);
	memcpy(out + 3, ", ", 2);
	out += 5;
	put_digits(&out, d.day, 2, ' ');
	memcpy(out, months + 3 * (d.month - 1), 3);
	out[3] = ' ';
	out += 4;
	put_digits(&out, d.year, 4, ' ');
	put_digits(&out, d.hour, 2, ':');
	put_digits(&out, d.minute, 2, ':');
	put_digits(&out, d.second, 2, ' ');
	memcpy(out, "GMT", 4);
}
