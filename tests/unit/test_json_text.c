/* The JSON writer against jansson: what it writes is read back as the same value, whatever the value is. */
#include "core/json_text.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 11;

static uint64_t next(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return seed >> 20;
}

static double random_double(void)
{
    uint64_t bits = next() << 44 ^ next() << 22 ^ next();
    double d;
    memcpy(&d, &bits, sizeof d);
    switch (next() % 4) {
    case 0:
        return isfinite(d) ? d : 1.5;
    case 1:
        return (double)(int64_t)(next() % 100000000000) / 100;
    case 2:
        return (double)(int64_t)next() * 1e3;
    default:
        return (double)next() / 7e9;
    }
}

static json_t *random_string(void)
{
    char text[400];
    size_t n = 0;
    for (size_t i = next() % 60; i; i--) {
        uint32_t c = (uint32_t)(next() % 8 ? next() % 0x80 : next() % 0x110000);
        if (c >= 0xd800 && c < 0xe000)
            c = '?';
        if (c < 0x80) {
            text[n++] = (char)c;
        } else if (c < 0x800) {
            text[n++] = (char)(0xc0 | c >> 6);
            text[n++] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            text[n++] = (char)(0xe0 | c >> 12);
            text[n++] = (char)(0x80 | (c >> 6 & 63));
            text[n++] = (char)(0x80 | (c & 63));
        } else {
            text[n++] = (char)(0xf0 | c >> 18);
            text[n++] = (char)(0x80 | (c >> 12 & 63));
            text[n++] = (char)(0x80 | (c >> 6 & 63));
            text[n++] = (char)(0x80 | (c & 63));
        }
    }
    json_t *value = json_stringn(text, n);
    ck_assert_ptr_nonnull(value);
    return value;
}

static json_t *random_value(int depth)
{
    static const json_int_t ends[] = {0, -1, INT64_MAX, INT64_MIN, 999999999999999, 1000000000000000};
    switch (next() % (depth ? 9 : 7)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(next() & 1);
    case 2:
        return json_integer(next() % 3 ? (json_int_t)next() : ends[next() % 6]);
    case 3:
    case 4:
        return json_real(random_double());
    case 5:
    case 6:
        return random_string();
    case 7: {
        json_t *array = json_array();
        for (size_t n = next() % 6; n; n--)
            json_array_append_new(array, random_value(depth - 1));
        return array;
    }
    default: {
        json_t *object = json_object(), *key;
        for (size_t n = next() % 6; n; n--) {
            key = random_string();
            json_object_set_new(object, json_string_value(key), random_value(depth - 1));
            json_decref(key);
        }
        return object;
    }
    }
}

START_TEST(round_trip)
{
    for (int i = 0; i < 30000; i++) {
        json_t *value = random_value(5);
        size_t len = 0;
        char *text = json_text(value, &len);
        json_error_t error;
        ck_assert_ptr_nonnull(text);
        ck_assert_uint_eq(strlen(text), len);
        json_t *back = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        ck_assert_msg(back && json_equal(value, back), "%s: %s", text, error.text);
        char *theirs = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        json_t *other = json_loads(theirs, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        ck_assert(json_equal(back, other));
        ck_assert_uint_ge(json_text_size(value, SIZE_MAX / 4) * 6, len);
        json_decref(other);
        json_decref(back);
        json_decref(value);
        free(theirs);
        free(text);
    }
}
END_TEST

/* As few digits as give the same double. */
START_TEST(shortest_numbers)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {100, "100.0"},
                 {1499.99, "1499.99"},
                 {1e300, "1e+300"},
                 {-2.5, "-2.5"},
                 {5e-324, "4.94065645841247e-324"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e15, "1e+15"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = json_real(cases[i].value);
        char *text = json_text(value, NULL);
        ck_assert_str_eq(text, cases[i].text);
        ck_assert(strtod(text, NULL) == cases[i].value);
        free(text);
        json_decref(value);
    }
}
END_TEST

/* What printf finds by trying. */
static void shortest_by_trying(double value, char ret_text[40])
{
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(ret_text, 40, "%.*g", precision, value);
        if (strtod(ret_text, NULL) == value)
            break;
    }
    if (!strpbrk(ret_text, ".e"))
        memcpy(ret_text + strlen(ret_text), ".0", 3);
}

/* Decimals take a way of their own: it gives the same texts, at its edges and among them. */
START_TEST(decimals)
{
    static const double edges[] = {1e-4,
                                   9.9999e-5,
                                   0.00010001,
                                   1e14,
                                   99999999999999.5,
                                   1e14 - 0.5,
                                   999999999999.999,
                                   1.0 / 3,
                                   0.000123456789,
                                   123456.123456789,
                                   4503599627370495.5,
                                   1e-9,
                                   0.1234567891};
    char wanted[40];
    for (size_t i = 0; i < 600000; i++) {
        const double powers[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e9, 1e11};
        double value =
            i < sizeof edges / sizeof *edges ? edges[i] : (double)(next() >> next() % 40) / powers[next() % 9];
        if (next() % 4 == 0)
            value = nextafter(value, next() % 2 ? 1e300 : -1e300);
        if (next() % 2)
            value = -value;
        if (value == rint(value))
            continue;
        struct text text;
        text_init(&text, 100);
        text_real(&text, value);
        shortest_by_trying(value, wanted);
        ck_assert_str_eq(text.at, wanted);
        text_free(&text);
    }
}
END_TEST

/* Writes a text and its end; gives its length. */
static size_t put(char *to, const char *text)
{
    size_t len = strlen(text);
    memcpy(to, text, len + 1);
    return len;
}

/* Strings are looked at by words of which the last overlaps: what needs a closer look is found at each place of a text
 * of each length, also where another stands before it. */
START_TEST(at_every_place)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"\"", "\\\""},          {"\\", "\\\\"}, {"\x1f", "\\u001f"},      {"\n", "\\n"},
                 {"\x7f", "\x7f"},        {" ", " "},     {"\xc3\xa9", "\xc3\xa9"}, {"\xe2\x82\xa6", "\xe2\x82\xa6"},
                 {"\x80", "\xef\xbf\xbd"}};
    const size_t n_cases = sizeof cases / sizeof *cases;
    struct text text;
    text_init(&text, 1000);
    for (size_t len = 0; len < 50; len++)
        for (size_t a = 0; a <= len; a++)
            for (size_t i = 0; i < n_cases * n_cases; i++) {
                char string[80] = "", wanted[200] = "\"";
                const size_t b = a + i % 20 < len ? a + i % 20 : len;
                size_t n = 0, m = 1;
                for (size_t at = 0; at <= len; at++) {
                    n += put(string + n, at == a ? cases[i % n_cases].bytes : "");
                    m += put(wanted + m, at == a ? cases[i % n_cases].text : "");
                    n += put(string + n, at == b ? cases[i / n_cases].bytes : "");
                    m += put(wanted + m, at == b ? cases[i / n_cases].text : "");
                    n += put(string + n, at < len ? "x" : "");
                    m += put(wanted + m, at < len ? "x" : "\"");
                }
                char *exact = strdup(string); /* so that a look beyond its end is seen */
                text_reset(&text);
                text_string(&text, exact);
                ck_assert_msg(text.len == strlen(wanted) && memcmp(text.at, wanted, text.len) == 0, "%.*s: not %s",
                              (int)text.len, text.at, wanted);
                free(exact);
            }
    text_free(&text);
}
END_TEST

/* Bytes that are no UTF-8 are told as jansson tells them, and never make text that cannot be read. */
START_TEST(bad_bytes)
{
    for (int i = 0; i < 200000; i++) {
        char bytes[8];
        size_t n = 1 + next() % 7;
        for (size_t k = 0; k < n; k++) {
            static const unsigned char often[] = {0xc2, 0xe0, 0xa0, 0xed, 0xf0, 0x90, 0xf4, 0x80, 0xbf, 'a', '"'};
            bytes[k] = (char)(next() % 3 ? often[next() % sizeof often] : next() % 255 + 1);
        }
        json_t *good = json_stringn(bytes, n);
        ck_assert_int_eq(text_is_utf8(bytes, n), good != NULL);
        json_t *value = json_stringn_nocheck(bytes, n);
        size_t len;
        char *text = json_text(value, &len);
        json_t *back = json_loadb(text, len, JSON_DECODE_ANY, NULL);
        ck_assert(back && (!good || json_equal(back, good)));
        json_decref(good);
        json_decref(back);
        json_decref(value);
        free(text);
    }
}
END_TEST

START_TEST(limits)
{
    json_t *value = json_array();
    for (int depth = 1; depth <= 600; depth++) {
        size_t size = json_text_size(value, 100000);
        char *text = json_text(value, NULL);
        ck_assert_int_eq(text != NULL, depth <= JSON_TEXT_DEPTH_MAX + 1);
        ck_assert_int_eq(size <= 100000, depth <= JSON_TEXT_DEPTH_MAX / 2 + 1);
        free(text);
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    json_decref(value);
    struct text text;
    text_init(&text, 10);
    text_puts(&text, "0123456789");
    ck_assert(!text.failed);
    text_char(&text, 'x');
    ck_assert(text.failed);
    text_puts(&text, "y");
    ck_assert_str_eq(text.at, "0123456789");
    text_reset(&text);
    text_puts(&text, "z");
    ck_assert(!text.failed);
    text_free(&text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("json_text");
    TCase *c = tcase_create("json_text");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, round_trip);
    tcase_add_test(c, shortest_numbers);
    tcase_add_test(c, decimals);
    tcase_add_test(c, at_every_place);
    tcase_add_test(c, bad_bytes);
    tcase_add_test(c, limits);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
