/* What a description is compiled into, for the parts that make it, show it and match it; see custom.h. A description
 * becomes ideas: groups of the thesaurus that it names (alternatives where it says "or"), the words that no group
 * knows, and figures ("over 60", "more than once"). A customer matches who speaks of all ideas; of three and more, one
 * may be missing. Pure; any thread. */
#ifndef TRIGGERS_CUSTOM_RULE_H
#define TRIGGERS_CUSTOM_RULE_H

#include "custom.h"
#include "figures.h"

#define GROUPS_MAX 400
#define IDEAS_MAX 8
#define GROUPS_OF 8

struct group {
    const char *name; /* of `json` */
    int trigger;      /* a built-in trigger stands for it; -1: phrases */
    bool alone;       /* it says all: other ideas beside it are its dress */
    bool needed;      /* it narrows what stands before it */
    bool weak;        /* a mood or a relative: no head where anything else is named */
};

struct custom_terms {
    json_t *json;
    struct phrases *asks, *says;
    size_t n;
    struct group group[GROUPS_MAX];
    int16_t says_of[GROUPS_MAX * 2]; /* label of `says` -> group */
};

struct idea {
    char from[96]; /* the words of the description */
    size_t n;
    uint16_t groups[GROUPS_OF];
    bool word; /* one that no group knows: looked for as it is */
    bool in_brackets;
    bool without; /* "who never mention ..": who speaks of it does not match */
    uint16_t at, to;
};

struct custom_rule {
    const struct custom_terms *terms;
    char description[CUSTOM_DESCRIPTION_BYTES_MAX + 1];
    size_t n_ideas, need;
    struct idea idea[IDEAS_MAX];
    struct phrases *words; /* labels "word0".. of ideas, "keyword0".. */
    size_t n_keywords;
    char keyword[CUSTOM_KEYWORDS_MAX][64];
    bool calls, chats, all; /* all: description and keywords both */
    bool silent;            /* who has not been in touch at all */
    int times;              /* sentences that must speak of it */
    size_t n_figures;
    struct figure figure[FIGURES_MAX];
    unsigned hints; /* built-in triggers that the description names beside an idea that says all: not ruled out */
};

/* custom_ideas.c: reads `r->description` into ideas, figures and times. Words that no group knows become lists of
 * `labels`. CVM_ENOMEM. */
int custom_ideas(struct custom_rule *r, json_t *labels);

#endif
