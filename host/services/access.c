/* Owns the tokens; see access.h. */
#include "services/access.h"

#include "core/hex.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DIGEST_BYTES 32

struct token {
    const char *name;
    const json_t *permissions; /* array of strings */
    unsigned char digest[DIGEST_BYTES];
    bool set; /* false: its secret is not */
};

struct access {
    json_t *tokens; /* what the structs point into */
    size_t n;
    struct token at[];
};

static bool digest_of(const char *text, unsigned char ret_digest[DIGEST_BYTES])
{
    return EVP_Digest(text, strlen(text), ret_digest, NULL, EVP_sha256(), NULL) == 1;
}

__attribute__((format(printf, 4, 5))) static int wrong(char *ret_error, size_t size, const struct token *token,
                                                       const char *format, ...)
{
    va_list args;
    int n = snprintf(ret_error, size, "access.tokens: %.80s: ", token->name);
    va_start(args, format);
    if (n > 0 && (size_t)n < size)
        vsnprintf(ret_error + n, size - (size_t)n, format, args);
    va_end(args);
    return CVM_EINVAL;
}

static int read_token(struct token *token, const json_t *from, const char *(*secret)(const void *, const char *),
                      const void *arg, json_t *warnings, char *ret_error, size_t size)
{
    const char *name = cvm_json_str(from, "secret", NULL), *hex = cvm_json_str(from, "sha256", NULL);
    token->name = cvm_json_str(from, "name", "");
    token->permissions = json_object_get(from, "permissions");
    if (!name == !hex)
        return wrong(ret_error, size, token,
                     "must have \"secret\" (the name of a secret) or \"sha256\" (of the token)");
    if (hex) {
        token->set = hex_read(hex, token->digest, DIGEST_BYTES);
        return token->set ? 0 : wrong(ret_error, size, token, "\"sha256\" must be 64 hexadecimal digits");
    }
    const char *text = secret(arg, name);
    if (!text) {
        char warning[256];
        snprintf(warning, sizeof warning,
                 "access.tokens: %.80s: the secret %.80s is not set, so nobody holds this token", token->name, name);
        if (warnings)
            json_array_append_new(warnings, json_string(warning));
        return 0;
    }
    size_t len = strlen(text);
    if (len < ACCESS_TOKEN_MIN_BYTES || len > ACCESS_TOKEN_MAX_BYTES)
        return wrong(ret_error, size, token, "the secret %.80s must be %d to %d bytes long, got %zu", name,
                     ACCESS_TOKEN_MIN_BYTES, ACCESS_TOKEN_MAX_BYTES, len);
    token->set = digest_of(text, token->digest);
    return token->set ? 0 : CVM_ENOMEM;
}

static int check_unique(const struct access *access, const struct token *token, char *ret_error, size_t size)
{
    for (size_t i = 0; i < access->n; i++) {
        const struct token *other = &access->at[i];
        if (strcmp(other->name, token->name) == 0)
            return wrong(ret_error, size, token, "the name is given twice");
        if (other->set && token->set && CRYPTO_memcmp(other->digest, token->digest, DIGEST_BYTES) == 0)
            return wrong(ret_error, size, token, "is the same token as %.80s", other->name);
    }
    return 0;
}

int access_new(const json_t *tokens, const char *(*secret)(const void *arg, const char *name), const void *arg,
               json_t *warnings, struct access **ret_access, char *ret_error, size_t error_size)
{
    struct access *access = calloc(1, sizeof *access + json_array_size(tokens) * sizeof *access->at);
    if (!access)
        return CVM_ENOMEM;
    access->tokens = json_deep_copy(tokens);
    int error = access->tokens ? 0 : CVM_ENOMEM;
    for (size_t i = 0; i < json_array_size(access->tokens) && !error; i++) {
        struct token *token = &access->at[i];
        error = read_token(token, json_array_get(access->tokens, i), secret, arg, warnings, ret_error, error_size);
        if (!error)
            error = check_unique(access, token, ret_error, error_size);
        access->n++;
    }
    if (error) {
        if (error == CVM_ENOMEM)
            snprintf(ret_error, error_size, "access.tokens: out of memory");
        access_free(access);
        return error;
    }
    *ret_access = access;
    return 0;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    json_decref(access->tokens);
    OPENSSL_cleanse(access->at, access->n * sizeof *access->at);
    free(access);
}

int access_holds(const json_t *permissions, const char *permission)
{
    const json_t *one;
    size_t i;
    json_array_foreach(permissions, i, one)
    {
        const char *text = json_string_value(one);
        if (text && (strcmp(text, "*") == 0 || strcmp(text, permission) == 0))
            return 1;
    }
    return 0;
}

/* What stands behind "Bearer" (RFC 6750); NULL: it is another scheme, or nothing. */
static const char *bearer(const char *authorization)
{
    if (!authorization || strncasecmp(authorization, "Bearer", 6) != 0 || authorization[6] != ' ')
        return NULL;
    authorization += 6 + strspn(authorization + 6, " ");
    return *authorization ? authorization : NULL;
}

enum access_answer access_ask(const struct access *access, const char *authorization, const char *permission,
                              const char **ret_name)
{
    unsigned char digest[DIGEST_BYTES];
    const struct token *found = NULL;
    const char *text = bearer(authorization);
    *ret_name = "";
    if (!text)
        return ACCESS_NO_TOKEN;
    if (!digest_of(text, digest))
        return ACCESS_UNKNOWN_TOKEN;
    for (size_t i = 0; i < access->n; i++) /* all of them, so that the time tells nothing */
        if (access->at[i].set & (CRYPTO_memcmp(access->at[i].digest, digest, DIGEST_BYTES) == 0))
            found = &access->at[i];
    if (!found)
        return ACCESS_UNKNOWN_TOKEN;
    *ret_name = found->name;
    return access_holds(found->permissions, permission) ? ACCESS_GRANTED : ACCESS_LACKING;
}
