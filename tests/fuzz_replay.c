/* fuzz_replay.c - runs a fuzzer's body over a committed corpus without a
 * fuzzer, so that every build does, whatever its compiler:
 *
 *     fuzz_replay DIRECTORY... */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Memory of exactly the input's size, so that a sanitizer sees a read past its
 * end. */
static int
replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;
    int rc = -1;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
        data = malloc((size_t)size);
    if (size == 0 ||
        (data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size))
        rc = LLVMFuzzerTestOneInput(data, (size_t)size);
    else
        perror(path);
    free(data);
    if (file != NULL)
        (void)fclose(file);
    return rc;
}

/* Number of files run, or -1. */
static int
replay_directory(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort), done = 0;
    bool failed = count < 0;

    if (count < 0)
        perror(path);
    for (int i = 0; i < count; i++) {
        char name[4096];

        (void)snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            failed = replay_file(name) != 0 || failed;
            done++;
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return failed ? -1 : done;
}

int
main(int argc, char **argv)
{
    (void)alarm(300); /* an input that takes for ever is a failure */
    for (int i = 1; i < argc; i++) {
        int done = replay_directory(argv[i]);

        if (done <= 0) {
            (void)fprintf(stderr, "%s: nothing run, or failed\n", argv[i]);
            return 1;
        }
        (void)printf("%s: %d inputs\n", argv[i], done);
    }
    return 0;
}
