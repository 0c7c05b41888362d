/* Writes a mail; see smtp_message.h. Whatever comes in, no header gets a line of its own by it: what is not plain ASCII
 * goes as encoded words, bodies go quoted-printable or base64, so that no line of theirs is too long. */
#include "services/smtp_message.h"

#include "core/hex.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORD_BYTES 39     /* of text in an encoded word: with "Subject: " before it the line has 73 */
#define PLAIN_BYTES 60    /* a header text longer than this is folded into encoded words */
#define BASE64_LINE_IN 57 /* makes 76 */
#define QUOTED_LINE 75    /* and "=" */
#define ID_DIGITS 32

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static bool is_plain(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)value[i] < 0x20 || (unsigned char)value[i] >= 0x7f)
            return false;
    return n && n <= PLAIN_BYTES && value[0] != ' ' && value[n - 1] != ' ' && !strstr(value, "=?");
}

static void add_base64(struct text *text, const char *bytes, size_t n)
{
    unsigned char out[4 * ((BASE64_LINE_IN + 2) / 3) + 1];
    int len = EVP_EncodeBlock(out, (const unsigned char *)bytes, (int)n);
    text_add(text, (const char *)out, (size_t)len);
}

/* Encoded words hold whole characters. */
static void add_words(struct text *text, const char *value)
{
    for (size_t left = strlen(value), n; left; value += n, left -= n) {
        n = left < WORD_BYTES ? left : WORD_BYTES;
        while (n > 1 && n < left && ((unsigned char)value[n] & 0xc0) == 0x80)
            n--;
        text_puts(text, "=?UTF-8?B?");
        add_base64(text, value, n);
        text_puts(text, n < left ? "?=\r\n " : "?=");
    }
}

static void add_text(struct text *text, const char *header, const char *value)
{
    text_printf(text, "%s: ", header);
    if (is_plain(value))
        text_puts(text, value);
    else
        add_words(text, value);
    text_puts(text, "\r\n");
}

static void add_name(struct text *text, const char *name)
{
    if (is_plain(name) && !strpbrk(name, "\"\\"))
        text_printf(text, "\"%s\"", name);
    else
        add_words(text, name);
    text_puts(text, "\r\n "); /* the address on a line of its own */
}

static void add_address(struct text *text, const char *header, const char *name, const char *address)
{
    text_printf(text, "%s: ", header);
    if (name && *name)
        add_name(text, name);
    text_printf(text, "<%s>\r\n", address);
}

static void add_recipients(struct text *text, const cvm_mail *mail)
{
    size_t n = json_is_array(mail->to) ? json_array_size(mail->to) : 1;
    text_puts(text, "To: ");
    for (size_t i = 0; i < n; i++) {
        const json_t *to = json_is_array(mail->to) ? json_array_get(mail->to, i) : mail->to;
        if (i == 0 && mail->to_name && *mail->to_name)
            add_name(text, mail->to_name);
        text_printf(text, "<%s>%s", json_string_value(to), i + 1 < n ? ",\r\n " : "\r\n");
    }
}

static void add_date(struct text *text, int64_t date_ms)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(date_ms / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm))
        text_printf(text, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
                    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

/* With CRLF for each way that a line may end. Gives a string, NULL without memory. */
static char *with_line_ends(const char *body, size_t *ret_len)
{
    char *made = malloc(2 * strlen(body) + 3);
    size_t n = 0;
    for (const char *c = body; made && *c; c++) {
        if (*c == '\r' && c[1] == '\n')
            continue;
        if (*c == '\n' || *c == '\r') {
            made[n++] = '\r';
            made[n++] = '\n';
        } else {
            made[n++] = *c;
        }
    }
    if (made && (n < 2 || made[n - 1] != '\n')) {
        made[n++] = '\r';
        made[n++] = '\n';
    }
    if (made)
        made[n] = 0;
    *ret_len = n;
    return made;
}

static void add_quoted(struct text *text, const char *body, size_t len)
{
    size_t column = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)body[i];
        bool line_ends = body[i + 1] == '\r';
        if (c == '\r') { /* the text has it before "\n" only */
            text_puts(text, "\r\n");
            column = 0;
            i++;
            continue;
        }
        bool as_is = (c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !line_ends);
        size_t width = as_is ? 1 : 3;
        if (column + width > (line_ends ? QUOTED_LINE + 1 : QUOTED_LINE)) {
            text_puts(text, "=\r\n");
            column = 0;
        }
        if (as_is)
            text_char(text, (char)c);
        else
            text_printf(text, "=%02X", c);
        column += width;
    }
}

static void add_part(struct text *text, const char *type, const char *body)
{
    size_t len = 0, foreign = 0;
    char *lines = with_line_ends(body, &len);
    if (!lines) {
        text->failed = true;
        return;
    }
    for (size_t i = 0; i < len; i++)
        foreign += (unsigned char)lines[i] >= 0x80;
    bool base64 = foreign > len / 6; /* then it is the shorter one */
    text_printf(text, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n", type,
                base64 ? "base64" : "quoted-printable");
    for (size_t i = 0; base64 && i < len; i += BASE64_LINE_IN) {
        add_base64(text, lines + i, len - i < BASE64_LINE_IN ? len - i : BASE64_LINE_IN);
        text_puts(text, "\r\n");
    }
    if (!base64)
        add_quoted(text, lines, len);
    free(lines);
}

/* "=_" comes in no quoted-printable and no base64 text. */
static void add_bodies(struct text *text, const cvm_mail *mail, const char *id)
{
    if (!mail->html || !mail->text || !*mail->text) {
        add_part(text, mail->html ? "text/html" : "text/plain", mail->html ? mail->html : mail->text);
        return;
    }
    text_printf(text, "Content-Type: multipart/alternative;\r\n boundary=\"=_%s\"\r\n\r\n--=_%s\r\n", id, id);
    add_part(text, "text/plain", mail->text);
    text_printf(text, "\r\n--=_%s\r\n", id);
    add_part(text, "text/html", mail->html);
    text_printf(text, "\r\n--=_%s--\r\n", id);
}

void smtp_message_make(const cvm_mail *mail, const char *key, int64_t date_ms, struct text *text)
{
    struct text named;
    char id[HASH_HEX_SIZE] = "";
    text_init(&named, 4096);
    text_printf(&named, "%s\n%s", mail->from, key);
    if (named.failed)
        text->failed = true;
    else
        hash_hex(named.at, named.len, id);
    text_free(&named);
    id[ID_DIGITS] = 0;
    add_date(text, date_ms);
    add_address(text, "From", mail->from_name, mail->from);
    add_recipients(text, mail);
    if (mail->reply_to)
        add_address(text, "Reply-To", NULL, mail->reply_to);
    add_text(text, "Subject", mail->subject ? mail->subject : "");
    text_printf(text, "Message-ID: <%s%s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n", id,
                strrchr(mail->from, '@'));
    add_bodies(text, mail, id);
}
