/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of octet classes, computed by the compiler from the grammars.
 */
#include "worker/http/octet.h"

#define ALPHA(c) (((c) | 32) >= 'a' && ((c) | 32) <= 'z' && (c) < 128)
#define DIGIT(c) ((c) >= '0' && (c) <= '9')
#define HEX(c)   (DIGIT(c) || (((c) | 32) >= 'a' && ((c) | 32) <= 'f' && (c) < 128))
#define UNRES(c) (ALPHA(c) || DIGIT(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define SUBDELIM(c)                                                                                \
	((c) == '!' || (c) == '$' || ((c) >= '&' && (c) <= ',') || (c) == ';' || (c) == '=')
#define TCHAR(c)                                                                                   \
	(ALPHA(c) || DIGIT(c) || (c) == '!' || ((c) >= '#' && (c) <= '\'') || (c) == '*' ||        \
	    (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' || (c) == '_' || (c) == '`' ||    \
	    (c) == '|' || (c) == '~')
#define PCHAR(c) (UNRES(c) || SUBDELIM(c) || (c) == ':' || (c) == '@' || (c) == '/')
#define QUERY(c) ((c) > 32 && (c) < 127 && (c) != '"' && (c) != '#' && (c) != '<' && (c) != '>')
#define TEXT(c)  (((c) >= 32 && (c) != 127) || (c) == '\t')

#define C1(c)                                                                                      \
	((TCHAR(c) ? OCT_TOKEN : 0) | (PCHAR(c) ? OCT_PATH : 0) | (QUERY(c) ? OCT_QUERY : 0) |     \
	    (UNRES(c) ? OCT_HOST | OCT_UNRESERVED : 0) | (HEX(c) ? OCT_HEX : 0) |                  \
	    (DIGIT(c) ? OCT_DIGIT : 0) | (TEXT(c) ? OCT_TEXT : 0))
#define C4(c)  C1(c), C1((c) + 1), C1((c) + 2), C1((c) + 3)
#define C16(c) C4(c), C4((c) + 4), C4((c) + 8), C4((c) + 12)
#define C64(c) C16(c), C16((c) + 16), C16((c) + 32), C16((c) + 48)

const uint8_t octet_classes[256] = {C64(0), C64(64), C64(128), C64(192)};

bool
octet_text(struct str s)
{
	size_t i = 0;

	while ((i = ctl_find(s.p, i, s.n)) < s.n) {
		if (s.p[i] != '\t')
			return false;
		i++;
	}
	return true;
}

unsigned
octet_hex(char c)
{
	return DIGIT(c) ? (unsigned)(c - '0') : (unsigned)((c | 32) - 'a' + 10);
}
