/* machine_test.c - memory of made-up machines, and of this one. */
#include "plane/machine.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MB (UINT64_C(1) << 20)

static char root[PATH_MAX];

static void
write_file(const char *path, const char *text)
{
    char whole[2 * PATH_MAX];
    FILE *file;

    (void)snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *p = whole + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        (void)mkdir(whole, 0700);
        *p = '/';
    }
    file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int
make_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/dora-machine-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int
remove_root(void **state)
{
    char command[PATH_MAX + 16];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static const char meminfo[] = "MemTotal:       16384000 kB\n"
                              "MemFree:         1000000 kB\n"
                              "MemAvailable:    8192 kB\n";

static void
test_machine_without_groups_has_what_is_available(void **state)
{
    (void)state;
    assert_int_equal(dora__machine_memory(root), 0);
    write_file("/proc/meminfo", meminfo);
    assert_int_equal(dora__machine_memory(root), 8 * MB);
}

static void
test_machine_version_2_takes_the_tightest_ancestor(void **state)
{
    (void)state;
    write_file("/proc/meminfo", meminfo);
    write_file("/proc/self/cgroup", "0::/a/b/c\n");
    write_file("/proc/self/mountinfo",
               "24 1 0:22 / /proc rw shared:1 - proc proc rw\n"
               "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 "
               "cgroup2 rw,nsdelegate\n");
    write_file("/sys/fs/cgroup/a/memory.max", "6291456\n");
    write_file("/sys/fs/cgroup/a/memory.current", "3145728\n");
    write_file("/sys/fs/cgroup/a/memory.stat",
               "anon 1\ninactive_file 1048576\nactive_file 77\n");
    write_file("/sys/fs/cgroup/a/b/memory.max", "max\n");
    write_file("/sys/fs/cgroup/a/b/c/memory.max", "7340032\n");
    assert_int_equal(dora__machine_memory(root), 4 * MB);
    write_file("/sys/fs/cgroup/a/b/c/memory.current", "4194304\n");
    assert_int_equal(dora__machine_memory(root), 3 * MB);
    write_file("/sys/fs/cgroup/a/b/c/memory.current", "104194304\n");
    assert_int_equal(dora__machine_memory(root), 1);
}

static void
test_machine_version_1_is_found_by_its_controller(void **state)
{
    (void)state;
    write_file("/proc/meminfo", meminfo);
    write_file("/proc/self/cgroup", "9:name=systemd:/\n5:cpu,cpuacct:/x\n"
                                    "4:hugetlb,memory:/job/7\n0::/\n");
    write_file("/proc/self/mountinfo",
               "33 31 0:30 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
               "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n");
    write_file("/cg/memory/job/7/memory.limit_in_bytes",
               "9223372036854771712\n");
    write_file("/cg/memory/job/memory.limit_in_bytes", "3145728\n");
    write_file("/cg/memory/job/memory.usage_in_bytes", "2097152\n");
    write_file("/cg/memory/job/memory.stat", "total_inactive_file 524288\n");
    assert_int_equal(dora__machine_memory(root), 3 * MB / 2);
}

static void
test_machine_in_a_container_sees_the_mounts_root(void **state)
{
    (void)state;
    write_file("/proc/meminfo", meminfo);
    write_file("/proc/self/cgroup", "0::/docker/abc/inner\n");
    write_file("/proc/self/mountinfo",
               "29 23 0:26 /docker/abc /container rw - cgroup2 cgroup2 rw\n");
    write_file("/container/memory.max", "2097152\n");
    write_file("/container/inner/memory.max", "1048576\n");
    assert_int_equal(dora__machine_memory(root), MB);
    write_file("/proc/self/cgroup", "0::/../../elsewhere\n");
    assert_int_equal(dora__machine_memory(root), 2 * MB);
}

static void
test_machine_survives_nonsense(void **state)
{
    static const char *const texts[] = {
        "",    "\n\n",          "0::",     "::\n:",       "1:memory",
        " - ", "a b c / /x - ", "- - - -", "4:memory:\n", "1 2 3 / / - cgroup2",
    };

    (void)state;
    write_file("/proc/meminfo", "MemAvailable: lots\n");
    for (size_t i = 0; i < DORA_COUNT(texts); i++)
        for (size_t k = 0; k < DORA_COUNT(texts); k++) {
            write_file("/proc/self/cgroup", texts[i]);
            write_file("/proc/self/mountinfo", texts[k]);
            (void)dora__machine_memory(root);
        }
    write_file("/proc/self/cgroup", "0::/\n");
    write_file("/proc/self/mountinfo", "1 2 3 / /n rw - cgroup2 c rw\n");
    write_file("/n/memory.max", "unlimited");
    assert_int_equal(dora__machine_memory(root), 0);
}

static void
test_machine_reads_this_one(void **state)
{
    struct dora__machine machine;
    struct rlimit limit, old;

    (void)state;
    dora__machine_read(&machine);
    assert_int_equal(machine.page_size, sysconf(_SC_PAGESIZE));
    assert_true(machine.memory > 0);
    assert_true(machine.memory <= (uint64_t)sysconf(_SC_PHYS_PAGES) *
                                      (uint64_t)sysconf(_SC_PAGESIZE));
    assert_true(machine.address_space > 0);

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 12345678;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    dora__machine_read(&machine);
    assert_int_equal(machine.file_size, 12345678);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_machine_without_groups_has_what_is_available, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(
            test_machine_version_2_takes_the_tightest_ancestor, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(
            test_machine_version_1_is_found_by_its_controller, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(
            test_machine_in_a_container_sees_the_mounts_root, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(test_machine_survives_nonsense,
                                        make_root, remove_root),
        cmocka_unit_test(test_machine_reads_this_one),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
