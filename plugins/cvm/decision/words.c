/* See words.h. */
#include "words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX_BYTES 16384 /* of a transcript; what is behind is not read */

const char *const topic_names[TOPICS] = {"network", "billing", "roaming", "leaving", "other"};
const char *const topic_triggers[TOPICS] = {"network_issues", "billing_disputes", "roaming_issues", "churn_risk", NULL};
const char *const tone_names[3] = {"NEGATIVE", "NEUTRAL", "POSITIVE"};

/* Phrases in lower case; "*" at the end: any ending. */
static const char *const network_words[] = {"signal",
                                            "coverage",
                                            "no service",
                                            "dropped call*",
                                            "calls drop*",
                                            "call drop*",
                                            "dropping",
                                            "keeps dropping",
                                            "drops out",
                                            "disconnect*",
                                            "buffering",
                                            "slow internet",
                                            "slow data",
                                            "internet is slow",
                                            "so slow",
                                            "slow speed*",
                                            "outage*",
                                            "dead zone",
                                            "cuts out",
                                            "cutting out",
                                            "no internet",
                                            "video call*",
                                            "network",
                                            "bars",
                                            "mast",
                                            "hold a call",
                                            "reception",
                                            "cut off",
                                            "cuts off",
                                            "load",
                                            "loading",
                                            "lag",
                                            "lagging",
                                            "crackl*",
                                            "can t hear",
                                            "line goes",
                                            "line went",
                                            "goes dead",
                                            "went dead",
                                            "no bars",
                                            "calls fail*",
                                            "can t call",
                                            "can t get through",
                                            "internet is down",
                                            NULL};
static const char *const billing_words[] = {
    "bill",         "bills",        "billed",   "billing",   "overcharged", "charged",           "charge",
    "charges",      "refund*",      "invoice*", "dispute*",  "payment",     "unexpected charg*", "charged twice",
    "direct debit", "wrong amount", "took out", "taken out", "taken twice", "money back",        "statement",
    "owe",          "paid twice",   NULL};
static const char *const roaming_words[] = {"roaming",    "abroad",   "travelling", "traveling",     "overseas",
                                            "on holiday", "in spain", "in france",  "international", NULL};
static const char *const leaving_words[] = {
    "cancel*",     "leave you*",      "leaving",           "switch*",     "porting code",    "pac code",
    "pac",         "move to another", "moving to another", "competitor*", "other provider*", "another provider",
    "better deal", "end my contract", "terminate*",        NULL};
static const char *const *const topic_words[TOPICS] = {network_words, billing_words, roaming_words, leaving_words,
                                                       NULL};

static const char *const bad_words[] = {
    "angry",       "annoy*",       "awful",         "terrible",    "useless",     "fed up",      "frustrat*",
    "ridiculous",  "unacceptable", "complain*",     "worst",       "disappoint*", "not happy",   "unhappy",
    "not working", "doesn t work", "does not work", "never works", "still not",   "again",       "third time",
    "second time", "problem*",     "issue*",        "drop*",       "slow",        "overcharged", "wrong",
    "cancel*",     "can t",        "cannot",        "keeps",       "sick of",     "waste*",      "no signal",
    "no service",  "poor",         "bad",           "twice",       "unexpected",  "dispute*",    NULL};
static const char *const good_words[] = {"thank*",    "great",     "perfect",   "happy",     "love",
                                         "excellent", "brilliant", "helpful",   "works now", "sorted",
                                         "pleased",   "good",      "wonderful", "fantastic", NULL};
static const char *const solved_words[] = {"resolved",       "fixed",           "works now",
                                           "working now",    "sorted",          "has been credited",
                                           "been refunded",  "refund has been", "all good now",
                                           "that solved",    "solved",          "working again",
                                           "back to normal", "credited",        NULL};
static const char *const open_words[] = {"still not",
                                         "still no",
                                         "still happening",
                                         "still waiting",
                                         "not fixed",
                                         "not resolved",
                                         "not been resolved",
                                         "not been fixed",
                                         "nothing has changed",
                                         "no one called",
                                         "nobody called",
                                         "hasn t been",
                                         "has not been",
                                         "third time",
                                         "fourth time",
                                         "second time",
                                         "keep calling",
                                         "called before",
                                         "again",
                                         "not solved",
                                         "never fixed",
                                         "isn t fixed",
                                         "wasn t fixed",
                                         "still drop*",
                                         "still slow",
                                         "time of asking",
                                         "called about this",
                                         "rang about this",
                                         "phoned about this",
                                         "same problem",
                                         "same issue",
                                         "still being charged",
                                         "not sorted",
                                         NULL};

/* Lower-case words with one space before, between and behind, so that a phrase is found by strstr(" phrase"). */
static void fold(const char *text, char *out, size_t size)
{
    size_t n = 0;
    out[n++] = ' ';
    for (; *text && n + 2 < size; text++) {
        unsigned char c = (unsigned char)*text;
        bool word = isalnum(c) || c >= 0x80;
        if (word)
            out[n++] = (char)tolower(c);
        else if (out[n - 1] != ' ')
            out[n++] = ' ';
    }
    if (out[n - 1] != ' ')
        out[n++] = ' ';
    out[n] = 0;
}

static bool negated(const char *folded, const char *at)
{
    static const char *const before[] = {" no ", " not ", " without ", " never ", " no more ", " isn t ", " wasn t "};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        size_t len = strlen(before[i]);
        if ((size_t)(at - folded) + 1 >= len && strncmp(at + 1 - len, before[i], len) == 0)
            return true;
    }
    return false;
}

static size_t count(const char *folded, const char *const *phrases, bool unless_negated)
{
    size_t n = 0;
    for (; *phrases; phrases++) {
        char find[40];
        size_t len = strlen(*phrases), open = (*phrases)[len - 1] == '*';
        snprintf(find, sizeof find, " %.*s%s", (int)(len - open), *phrases, open ? "" : " ");
        for (const char *at = folded; (at = strstr(at, find)); at++)
            n += !(unless_negated && negated(folded, at));
    }
    return n;
}

static bool agents_line(const char *line)
{
    static const char *const names[] = {"agent:", "advisor:", "adviser:", "rep:", "operator:", "support:", "bot:"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncasecmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* The customer's lines without who speaks; all lines where nobody is named. */
static void customers_words(const char *text, char *out, size_t size)
{
    size_t n = 0;
    while (*text) {
        const char *line = text + strspn(text, " \t\r\n");
        size_t len = strcspn(line, "\n");
        text = line + len;
        if (agents_line(line))
            continue;
        static const char *const own[] = {"customer:", "user:", "caller:", "client:"};
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            if (strncasecmp(line, own[i], strlen(own[i])) == 0) {
                len -= strlen(own[i]);
                line += strlen(own[i]);
                break;
            }
        n += (size_t)snprintf(out + n, size - n, "%.*s\n", (int)len, line);
        if (n + 2 >= size)
            return;
    }
    if (!n)
        *out = 0;
}

void words_read(const char *transcript, struct reading *ret)
{
    char own[TEXT_MAX_BYTES], folded[TEXT_MAX_BYTES];
    size_t best = 0;
    *ret = (struct reading){.topic = TOPIC_OTHER, .tone = TONE_NEUTRAL};
    customers_words(transcript, own, sizeof own);
    fold(own, folded, sizeof folded);
    for (int topic = 0; topic < TOPIC_OTHER; topic++) {
        size_t n = count(folded, topic_words[topic], true);
        ret->about[topic] = n > 0;
        if (topic == TOPIC_LEAVING) /* said beside a problem, the problem is what it is about */
            n = n && !best ? n : 0;
        if (topic == TOPIC_ROAMING && n) /* "charged abroad" is about roaming */
            n += 2;
        if (n > best) {
            best = n;
            ret->topic = (enum topic)topic;
        }
    }
    size_t bad = count(folded, bad_words, true), good = count(folded, good_words, true);
    if (bad > good)
        ret->tone = TONE_NEGATIVE;
    else if (good > bad)
        ret->tone = TONE_POSITIVE;
    bool open = count(folded, open_words, false) > 0;
    fold(transcript, folded, sizeof folded);
    size_t solved = count(folded, solved_words, true);
    ret->ending = open ? ENDING_OPEN : solved ? ENDING_SOLVED : ENDING_UNKNOWN;
}

void words_cut(const char *text, char *ret, size_t size)
{
    size_t len = strlen(text);
    if (len < size) {
        memcpy(ret, text, len + 1);
        return;
    }
    size_t n = size > 4 ? size - 4 : 0, space = n;
    while (space > n / 2 && text[space] != ' ')
        space--;
    n = space > n / 2 ? space : n;
    while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    while (n && strchr(" ,;:", text[n - 1]))
        n--;
    snprintf(ret, size, "%.*s...", (int)n, text);
}

void words_gist(const char *transcript, char *ret, size_t size)
{
    char own[TEXT_MAX_BYTES], sentence[1024], folded[1024], best[1024] = "";
    size_t most = 0;
    customers_words(transcript, own, sizeof own);
    for (const char *at = own; *at;) {
        at += strspn(at, " \t\r\n.!?");
        size_t len = strcspn(at, "\n.!?");
        if (!len)
            break;
        snprintf(sentence, sizeof sentence, "%.*s", (int)(len < sizeof sentence ? len : sizeof sentence - 1), at);
        at += len;
        fold(sentence, folded, sizeof folded);
        size_t score = 1;
        for (int topic = 0; topic < TOPIC_OTHER; topic++)
            score += 2 * count(folded, topic_words[topic], true);
        score += count(folded, bad_words, true);
        if (score > most) {
            most = score;
            memcpy(best, sentence, sizeof best);
        }
    }
    for (char *c = best; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    words_cut(best, ret, size);
}
