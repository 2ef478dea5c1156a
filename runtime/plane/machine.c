/* machine.c - memory and limits, from /proc, control groups and getrlimit.
 *
 * A control group takes part by what is left below its limit, its own and each
 * ancestor's, for the tightest of them is the one that kills. Page cache that
 * was not used lately counts as left: the kernel takes it back first. Both
 * hierarchies are read where they are mounted; a group outside of what is
 * mounted (a container) is seen from the mount's root. */
#include "machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { FILE_LIMIT = 64 << 10 };

/* What a process can map: user halves of the smallest page tables in use. */
#if defined(__x86_64__)
#define ADDRESSES (UINT64_C(1) << 47)
#else
#define ADDRESSES (UINT64_C(1) << 39)
#endif

struct group_files {
    const char *limit, *usage, *cache; /* cache: line of memory.stat */
};

static const struct group_files version1 = {
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};
static const struct group_files version2 = {"memory.max", "memory.current",
                                            "inactive_file "};

/* The file's text (new), cut at a limit; NULL: there is none. */
static char *
read_file(const char *path)
{
    DORA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct dora__text text = {0};
    char buffer[4096];
    ssize_t size;

    if (fd < 0)
        return NULL;
    dora__text_puts(&text, "");
    while (text.size < FILE_LIMIT &&
           ((size = read(fd, buffer, sizeof buffer)) > 0 ||
            (size < 0 && errno == EINTR)))
        if (size > 0)
            dora__text_add(&text, buffer, (size_t)size);
    if (text.failed) {
        free(text.text);
        return NULL;
    }
    return text.text;
}

/* The number after `label` at the beginning of a line. */
static bool
find_number(const char *text, const char *label, uint64_t *ret_number)
{
    size_t size = strlen(label);

    while (text != NULL) {
        if (strncmp(text, label, size) == 0)
            return sscanf(text + size, "%" SCNu64, ret_number) == 1;
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return false;
}

static bool
read_number(const char *directory, const char *name, const char *label,
            uint64_t *ret_number)
{
    DORA_AUTOFREE char *path = dora__format("%s/%s", directory, name);
    DORA_AUTOFREE char *text = path != NULL ? read_file(path) : NULL;

    return text != NULL && find_number(text, label, ret_number);
}

static uint64_t
left_in_group(const char *directory, const struct group_files *files)
{
    uint64_t limit, usage = 0, cache = 0;

    if (!read_number(directory, files->limit, "", &limit))
        return UINT64_MAX;
    (void)read_number(directory, files->usage, "", &usage);
    (void)read_number(directory, "memory.stat", files->cache, &cache);
    usage -= cache < usage ? cache : usage;
    return usage < limit ? limit - usage : 0;
}

/* The least that is left in the group and its ancestors up to the mount. */
static uint64_t
left_in_groups(const char *mount, const char *group,
               const struct group_files *files)
{
    DORA_AUTOFREE char *path = dora__format("%s%s", mount, group);
    uint64_t least = UINT64_MAX;

    while (path != NULL && strlen(path) >= strlen(mount)) {
        uint64_t left = left_in_group(path, files);
        char *slash = strrchr(path, '/');

        if (left < least)
            least = left;
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    return least;
}

/* The process's group in a hierarchy: the rest of the line of /proc/self/cgroup
 * whose controllers hold `controller` ("": the line of version 2). */
static bool
find_group(const char *text, const char *controller, char *group, size_t size)
{
    for (; text != NULL && *text != '\0'; text += text != NULL) {
        const char *names = strchr(text, ':');
        const char *path = names != NULL ? strchr(names + 1, ':') : NULL;
        size_t wanted = strlen(controller), end = strcspn(text, "\n");

        if (path == NULL)
            return false;
        for (const char *name = names + 1; name <= path;) {
            size_t length = strcspn(name, ",:");

            if (length == wanted && memcmp(name, controller, length) == 0) {
                (void)snprintf(group, size, "%.*s",
                               (int)(text + end - path - 1), path + 1);
                return true;
            }
            name += length + 1;
        }
        text = strchr(text, '\n');
    }
    return false;
}

/* One line of mountinfo; false if it is no mount of memory control groups.
 * Gives where it is mounted and what of the hierarchy that is. */
static bool
read_mount(const char *line, bool *ret_second, char root[4096],
           char mount[4096])
{
    const char *dash = strstr(line, " - ");
    size_t end = strcspn(line, "\n");
    char options[512] = "", type[64] = "";

    if (dash == NULL || dash > line + end ||
        sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) != 2 ||
        sscanf(dash, " - %63s %*s %511s", type, options) < 1)
        return false;
    *ret_second = strcmp(type, "cgroup2") == 0;
    if (*ret_second)
        return true;
    return strcmp(type, "cgroup") == 0 && strstr(options, "memory") != NULL;
}

static uint64_t
left_below_limits(const char *root)
{
    DORA_AUTOFREE char *mounts_path =
        dora__format("%s/proc/self/mountinfo", root);
    DORA_AUTOFREE char *groups_path = dora__format("%s/proc/self/cgroup", root);
    DORA_AUTOFREE char *mounts = mounts_path ? read_file(mounts_path) : NULL;
    DORA_AUTOFREE char *groups = groups_path ? read_file(groups_path) : NULL;
    uint64_t least = UINT64_MAX;

    if (mounts == NULL || groups == NULL)
        return least;
    for (const char *line = mounts; line != NULL && *line != '\0';
         line = strchr(line, '\n'), line += line != NULL) {
        char top[4096], mount[4096], group[4096];
        DORA_AUTOFREE char *place = NULL;
        const char *rest = group;
        uint64_t left;
        bool second;

        if (!read_mount(line, &second, top, mount) ||
            !find_group(groups, second ? "" : "memory", group, sizeof group))
            continue;
        if (strcmp(top, "/") != 0 && strncmp(group, top, strlen(top)) == 0)
            rest = group + strlen(top);
        else if (strcmp(top, "/") != 0 || strstr(group, "/..") != NULL)
            rest = "";
        place = dora__format("%s%s", root, mount);
        if (place == NULL)
            continue;
        left = left_in_groups(place, strcmp(rest, "/") == 0 ? "" : rest,
                              second ? &version2 : &version1);
        if (left < least)
            least = left;
    }
    return least;
}

uint64_t
dora__machine_memory(const char *root)
{
    DORA_AUTOFREE char *path = dora__format("%s/proc/meminfo", root);
    DORA_AUTOFREE char *text = path != NULL ? read_file(path) : NULL;
    uint64_t available = 0, left = left_below_limits(root);

    if (text == NULL || !find_number(text, "MemAvailable:", &available))
        available = 0;
    available *= 1024;
    if (left != UINT64_MAX && (available == 0 || left < available))
        return left > 0 ? left : 1;
    return available;
}

static uint64_t
limit_of(int resource)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0 ||
        limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur > 0 ? limit.rlim_cur : 1;
}

void
dora__machine_read(struct dora__machine *ret_machine)
{
    uint64_t addresses = limit_of(RLIMIT_AS);

    *ret_machine = (struct dora__machine){
        .page_size = (uint64_t)sysconf(_SC_PAGESIZE),
        .memory = dora__machine_memory(""),
        .address_space =
            addresses != 0 && addresses < ADDRESSES ? addresses : ADDRESSES,
        .file_size = limit_of(RLIMIT_FSIZE),
    };
}
