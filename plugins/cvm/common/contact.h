/* The contact policy: how often, when and with whose consent a customer may be contacted. One function over what is
 * known of one customer, for deciding and again for sending. All rules are asked; of those that say no the strictest
 * counts, which is the one that says no for longest.
 *
 *     {"caps": [{"rule": "a_week", "per": "customer", "max": 4, "days": 7},
 *               {"per": "channel", "channel": "sms", "max": 2, "days": 7},
 *               {"per": "category", "max": 1, "days": 30}],
 *      "quiet_hours": [{"from": "21:00", "to": "08:00", "channels": ["sms", "call"]}]}
 *
 * A cap "per" channel or category that names none holds for each by itself. What serves the customer (`service`) and
 * what needs no consent (channel network, none) is neither counted nor capped; quiet hours hold for it too. Pure; any
 * thread. */
#ifndef CVM_COMMON_CONTACT_H
#define CVM_COMMON_CONTACT_H

#include "zone.h"

#include <cvm/json.h>

#define CONTACT_NEVER INT64_MAX
#define CONTACT_CAPS_MAX 64  /* rules of a policy that are looked at */
#define CONTACT_DAYS_MAX 400 /* the longest window */
#define CONTACTS_MAX 256     /* contacts of one customer that are looked at, the newest */
#define CONTACT_WHY_SIZE 160
#define CONTACT_RULE_SIZE 64

/* One contact, past or wanted. */
struct contact {
    int64_t at_ms;
    const char *channel, *category; /* "" where there is none */
    bool service;
};

struct contact_verdict {
    bool allowed;
    char rule[CONTACT_RULE_SIZE]; /* "consent", "marketing", "quiet_hours", or the cap's name */
    char why[CONTACT_WHY_SIZE];   /* a sentence */
    int64_t until_ms;             /* when it may be again; CONTACT_NEVER */
    int said_no;                  /* how many rules did */
};

/* Whether a channel needs the customer's consent. */
bool contact_needs_consent(const char *channel);

/* Consent alone: `permissions` is {"sms": true, .., "marketing": true}, members also as 0 and 1; NULL: none. */
void contact_consent(const json_t *permissions, const struct contact *wanted, struct contact_verdict *ret);

/* The whole policy. `past` is oldest first. `permissions` NULL: consent is checked elsewhere. */
void contact_check(const json_t *policy, const struct zone *z, const json_t *permissions, const struct contact *wanted,
                   const struct contact *past, size_t n, struct contact_verdict *ret);

/* The longest window of the caps, in milliseconds: what is older need not be kept. */
int64_t contact_window_ms(const json_t *policy);

#endif
