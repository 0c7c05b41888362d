/* The customer's text: tone and the channel's limits (service.md 8, 18). Pure; copies texts, expands nothing in them,
 * so that what customers and agents write stays text. Any thread. */
#include "service.h"

#define SMS_PART 160
#define SMS_PARTS 3

static const struct {
    const char *channel;
    size_t max; /* bytes for SMS and USSD (plain letters), characters are never cut elsewhere */
    bool plain; /* only letters every handset shows */
    bool one_line;
} channels[] = {
    {"SMS", SMS_PART *SMS_PARTS, true, true}, {"USSD", 182, true, true},   {"VOICE", 600, true, true},
    {"WHATSAPP", 4096, false, false},         {"WEB", 8000, false, false}, {"EMAIL", 8000, false, false},
};

const char *compose_tone(const char *channel, const char *sentiment)
{
    if (!strcmp(channel, "SMS") || !strcmp(channel, "USSD"))
        return "brief";
    if (!strcmp(sentiment, "NEGATIVE") || !strcmp(sentiment, "VERY_NEGATIVE"))
        return "empathetic";
    return strcmp(channel, "EMAIL") ? "friendly" : "formal";
}

struct out {
    char *text;
    size_t n, size;
};

static void put(struct out *o, const char *s, size_t len)
{
    if (o->n + len + 1 > o->size)
        len = text_cut(s, o->size - o->n - 1);
    memcpy(o->text + o->n, s, len);
    o->n += len;
    o->text[o->n] = 0;
}

static void puts_out(struct out *o, const char *s)
{
    put(o, s, strlen(s));
}

/* Plain letters for handsets: the naira sign becomes N, accents go, pictograms are dropped. */
static void put_plain(struct out *o, const char *s)
{
    while (*s) {
        size_t len;
        uint32_t c = text_decode(s, &len);
        if (c < 0x80) {
            put(o, s, 1);
        } else if (c == 0x20A6) {
            puts_out(o, "N");
        } else if (c == 0x2018 || c == 0x2019) {
            puts_out(o, "'");
        } else if (c == 0x201C || c == 0x201D) {
            puts_out(o, "\"");
        } else if (c == 0x2013 || c == 0x2014) {
            puts_out(o, "-");
        } else {
            uint32_t plain = text_fold(c);
            char letter = (char)plain;
            if (plain && plain < 0x80)
                put(o, &letter, 1);
        }
        s += len;
    }
}

/* Control characters never leave; line breaks become blanks where the channel has one line. */
static void tidy(struct out *o, bool one_line)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++) {
        unsigned char c = (unsigned char)o->text[i];
        if (c == '\n' && !one_line)
            o->text[n++] = '\n';
        else if (c == '\n' || c == '\t' || c == '\r' || c == ' ') {
            if (n && o->text[n - 1] != ' ')
                o->text[n++] = ' ';
        } else if (c >= 0x20 && c != 0x7F) {
            o->text[n++] = (char)c;
        }
    }
    while (n && o->text[n - 1] == ' ')
        n--;
    o->text[n] = 0;
    o->n = n;
}

/* Cuts to `max` bytes: at a sentence's end in the last half, else between words, never inside a character. */
static void shorten(struct out *o, size_t max)
{
    size_t cut = 0;
    if (o->n <= max)
        return;
    for (size_t i = max / 2; i < max; i++)
        if (strchr(".!?", o->text[i]) && o->text[i + 1] == ' ')
            cut = i + 1;
    if (!cut) {
        cut = max - 3;
        while (cut > max / 2 && o->text[cut] != ' ')
            cut--;
        while (cut && ((unsigned char)o->text[cut] & 0xC0) == 0x80)
            cut--;
        o->n = cut;
        o->text[cut] = 0;
        puts_out(o, "...");
        return;
    }
    o->n = cut;
    o->text[cut] = 0;
}

static bool letter_or_hyphen(char c)
{
    return c == '-' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "naira" stands after the sum when it is said. Returns the bytes read, 0 for no sum. */
static size_t speak_sum(const char *s, struct out *o)
{
    size_t sign = strlen("\xE2\x82\xA6"), n;
    if (strncmp(s, "\xE2\x82\xA6", sign) != 0)
        return 0;
    n = strspn(s + sign, "0123456789,.");
    while (n && strchr(",.", s[sign + n - 1]))
        n--;
    bool even = n > 3 && !strncmp(s + sign + n - 3, ".00", 3);
    put(o, s + sign, even ? n - 3 : n);
    puts_out(o, " naira");
    return sign + n;
}

/* Read aloud: long numbers in groups of three figures, sums with their unit behind; references stay as they are. */
static void speak(const char *text, struct out *o)
{
    for (const char *s = text; *s; s++) {
        size_t sum = speak_sum(s, o), digits = strspn(s, "0123456789");
        bool number = digits >= 5 && (s == text || !letter_or_hyphen(s[-1])) && !letter_or_hyphen(s[digits]);
        if (sum) {
            s += sum - 1;
        } else if (number) {
            for (size_t i = 0; i < digits; i++) {
                put(o, s + i, 1);
                if (i + 1 < digits)
                    puts_out(o, (i + 1) % 3 ? " " : ", ");
            }
            s += digits - 1;
        } else {
            put(o, s, digits ? digits : 1);
            s += digits ? digits - 1 : 0;
        }
    }
}

static const char *opening(const struct compose_in *in, const char *tone)
{
    bool pidgin = !strcmp(in->language, "pcm");
    if (!strcmp(tone, "empathetic"))
        return pidgin ? "We dey sorry for the wahala. " : "We are sorry for the trouble. ";
    if (!strcmp(tone, "friendly"))
        return pidgin ? "Thank you say you reach us. " : "Thank you for reaching out. ";
    return "";
}

static void greet(const struct compose_in *in, const char *tone, struct out *o)
{
    char first[48];
    size_t len = strcspn(in->name, " ");
    snprintf(first, sizeof first, "%.*s", (int)(len < 40 ? len : 0), in->name);
    if (!strcmp(tone, "brief"))
        return;
    if (!strcmp(tone, "formal")) {
        puts_out(o, *in->name ? "Dear " : "Dear customer");
        puts_out(o, *in->name ? in->name : "");
        puts_out(o, ",\n\n");
    } else if (*first) {
        puts_out(o, "Hello ");
        puts_out(o, first);
        puts_out(o, ". ");
    }
    puts_out(o, opening(in, tone));
}

void compose_text(const struct compose_in *in, char *ret_text, size_t size)
{
    struct out o = {.text = ret_text, .size = size};
    const char *tone = *in->tone ? in->tone : compose_tone(in->channel, in->sentiment);
    size_t max = 8000;
    bool plain = false, one_line = false;
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        if (!strcmp(channels[i].channel, in->channel)) {
            max = channels[i].max;
            plain = channels[i].plain;
            one_line = channels[i].one_line;
        }
    }
    char whole[SERVICE_TEXT_MAX];
    struct out raw = {.text = whole, .size = sizeof whole};
    whole[0] = ret_text[0] = 0;
    if (!one_line || strcmp(tone, "formal") != 0)
        greet(in, one_line && strcmp(in->channel, "VOICE") ? "brief" : tone, &raw);
    puts_out(&raw, in->body);
    if (!strcmp(tone, "formal") && !one_line)
        puts_out(&raw, "\n\nKind regards,\nCustomer Care");
    tidy(&raw, one_line);
    if (plain && strcmp(in->channel, "VOICE") != 0)
        put_plain(&o, whole);
    else if (!strcmp(in->channel, "VOICE"))
        speak(whole, &o);
    else
        puts_out(&o, whole);
    /* A token stands whole on a line of its own, in room kept for it, whatever had to be cut. */
    bool token = !strcmp(in->channel, "SMS") && *in->token;
    size_t room = token ? max - SMS_PART : max;
    shorten(&o, room < size - SMS_PART ? room : size - SMS_PART);
    if (token) {
        puts_out(&o, "\n");
        put_plain(&o, in->token);
    }
}
