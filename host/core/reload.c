/* Changes of plugins; see reload.h. */
#include "core/reload.h"

#include <cvm/cvm.h>

void core_change(struct core *core, enum core_change what, const char *plugin, bool now, core_change_done done,
                 void *arg)
{
    (void)core;
    (void)what;
    (void)now;
    done(arg, CVM_EINVAL,
         json_pack("{s:s, s:[], s:{s:s, s:s, s:s?, s:s}}", "result", "refused", "plugins", "error", "code", "REFUSED",
                   "step", "stage", "plugin", plugin, "text", "plugins are exchanged by a restart only"));
}
