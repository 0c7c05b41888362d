/* What `plugin new` writes, embedded in the program (sdk/templates). Constant. */
#ifndef HOST_CLI_TEMPLATES_H
#define HOST_CLI_TEMPLATES_H

struct template
{
    const char *kind; /* "agent", ..., "domain"; "common": for all */
    const char *file; /* "plugin.c" */
    const char *text; /* with @name@ and the like in it */
};

extern const struct template templates[]; /* ends with {0} */

#endif
