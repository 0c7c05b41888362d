/* The vendor's request ids: the minute in Lagos, then the reference. Pure; any thread. */
#include "vtpass.h"

#include <stdio.h>
#include <time.h>

#define LAGOS_MS INT64_C(3600000) /* ahead of UTC, all year */
#define REFERENCE_MOST 24         /* characters of the reference; what is longer is told apart by a hash */

static void minute(int64_t now_ms, char ret_digits[VT_DATE_DIGITS + 1])
{
    struct tm tm = {0};
    time_t seconds = (time_t)((now_ms + LAGOS_MS) / 1000);
    gmtime_r(&seconds, &tm);
    if (strftime(ret_digits, VT_DATE_DIGITS + 1, "%Y%m%d%H%M", &tm) != VT_DATE_DIGITS)
        memcpy(ret_digits, "000000000000", VT_DATE_DIGITS + 1);
}

/* FNV-1a. */
static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

void vt_request_id(int64_t now_ms, const char *reference, char ret_id[VT_REQUEST_ID_SIZE])
{
    size_t n = VT_DATE_DIGITS;
    bool plain = true; /* "TXN-1f2e.." loses its hyphen and stays the only one of its kind */
    minute(now_ms, ret_id);
    for (const char *c = reference; *c; c++) {
        const bool good = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z');
        if (good && n < VT_DATE_DIGITS + REFERENCE_MOST)
            ret_id[n++] = *c;
        else if (good || *c != '-' || c != reference + 3)
            plain = false;
    }
    ret_id[n] = '\0';
    if (!plain || strlen(reference) < 4 || reference[3] != '-')
        snprintf(ret_id + n, VT_REQUEST_ID_SIZE - n, "%08x", (unsigned)(hash(reference) & 0xffffffff));
}

bool vt_is_of_today(int64_t now_ms, const char *request_id)
{
    char today[VT_DATE_DIGITS + 1];
    minute(now_ms, today);
    return strncmp(today, request_id, 8) == 0;
}
