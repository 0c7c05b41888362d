/* The providers' webhooks: bodies, signatures over their bytes, and how they go wrong. */
#include "hooks.h"
#include "payment_sim.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#define WRONG_KEY "not the key"

/* Lower-case hex of HMAC-SHA512 for Paystack; base64 of HMAC-SHA256, and the hash itself, for Flutterwave. */
static void sign(int provider, const char *key, const char *text, char ret_header[512])
{
    unsigned char mac[EVP_MAX_MD_SIZE], base64[64] = "";
    unsigned n = sizeof mac;
    if (!HMAC(provider == PAYSTACK ? EVP_sha512() : EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text,
              strlen(text), mac, &n))
        abort();
    if (provider == FLUTTERWAVE) {
        EVP_EncodeBlock(base64, mac, (int)n);
        snprintf(ret_header, 512, "flutterwave-signature: %s\nverif-hash: %.256s", (const char *)base64, key);
        return;
    }
    int at = snprintf(ret_header, 512, "x-paystack-signature: ");
    for (unsigned i = 0; i < n; i++)
        at += snprintf(ret_header + at, 512 - (size_t)at, "%02x", mac[i]);
}

static char *body_of(const struct vending *v, const struct entry *e, int64_t now_ms)
{
    const bool refund = strncmp(e->reference, REFUND_PREFIX, strlen(REFUND_PREFIX)) == 0;
    const bool good = shown_of(v, e, now_ms) != SHOW_FAILED;
    const char *event = refund                  ? e->vendor == PAYSTACK ? "refund.processed" : "refund.completed"
                        : e->vendor == PAYSTACK ? good ? "charge.success" : "charge.failed"
                                                : "charge.completed";
    json_t *body = json_pack("{s:s, s:o}", "event", event, "data",
                             refund ? refund_data(v, e, now_ms) : payment_data(v, e, now_ms));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (!text)
        abort();
    return text;
}

void notice(struct vending *v, const struct entry *e, int64_t now_ms)
{
    static const char *const names[] = {"paystack", "flutterwave"};
    char url[512], header[512], forged[512];
    const int64_t decided = e->settles_ms > now_ms ? e->settles_ms : now_ms;
    int64_t due = decided + v->options.webhook_ms;
    if (!v->hooks || e->outcome == OUT_PENDING)
        return;
    char *text = body_of(v, e, decided);
    snprintf(url, sizeof url, "%s/%s", v->options.webhooks, names[e->vendor]);
    sign(e->vendor, v->keys[e->vendor], text, header);
    if (vend_chance(v, "webhook", e, 0, v->options.webhook_faults)) {
        sign(e->vendor, WRONG_KEY, text, forged);
        hooks_add(v->hooks, due, url, forged, text, NULL);
        hooks_add(v->hooks, due + 10, url, header, text, NULL);
        hooks_add(v->hooks, due + 20, url, header, text, NULL);
        due += 3 * v->options.webhook_ms; /* after those of later payments */
    }
    hooks_add(v->hooks, due, url, header, text, NULL);
    free(text);
}
