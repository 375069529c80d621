// Valkey loads modules with RTLD_DEEPBIND, under which AddressSanitizer refuses to run: a module would not see the
// sanitizer's malloc. `scripts/sanitize` preloads this; it takes the flag away.
#define _GNU_SOURCE
#include <dlfcn.h>

void *dlopen(const char *path, int flags) {
    void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return next(path, flags & ~RTLD_DEEPBIND);
}
