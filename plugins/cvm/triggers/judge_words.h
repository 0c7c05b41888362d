static void explain(const struct thresholds *th, const struct case_file *c, const struct reading *x, enum trigger i, bool plain, struct verdict *v)
{
    (void)th; (void)c; (void)x; (void)i; (void)plain; (void)v;
}
