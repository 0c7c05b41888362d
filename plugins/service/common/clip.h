/* How much of a text fits, without cutting a character: what ends within one is no JSON text. Pure; any thread. */
#ifndef SERVICE_COMMON_CLIP_H
#define SERVICE_COMMON_CLIP_H

#include <cvm/cvm.h>

/* At most `most` bytes, for "%.*s". */
static inline int clip(const char *text, int most)
{
    int n = (int)strnlen(text, (size_t)most);
    if (n == most && text[n])
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    return n;
}

#endif
