/* file.c - see file.h. */
#include "file.h"

#include "graph/document.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *
dora__directory_absolute(const char *path)
{
    return realpath(path != NULL && *path != 0 ? path : ".", NULL);
}

char *
dora__file_directory(const char *file)
{
    const char *slash = strrchr(file, '/');
    DORA_AUTOFREE char *name = slash == NULL ? strdup(".")
                               : slash == file
                                   ? strdup("/")
                                   : strndup(file, (size_t)(slash - file));

    return name == NULL ? NULL : dora__directory_absolute(name);
}

/* What is read of `fd`, at most `limit` bytes. -errno. */
static int
read_text(int fd, size_t limit, char **ret_text, size_t *ret_size)
{
    DORA_AUTOFREE char *text = malloc(limit + 1);
    size_t size = 0;
    ssize_t n = 1;

    if (text == NULL)
        return -ENOMEM;
    while (n != 0 && size < limit) {
        n = read(fd, text + size, limit - size);
        if (n < 0 && errno != EINTR)
            return -errno;
        size += n > 0 ? (size_t)n : 0;
    }
    text[size] = '\0';
    *ret_text = text;
    text = NULL;
    if (ret_size != NULL)
        *ret_size = size;
    return 0;
}

int
dora__file_text(const char *path, size_t limit, char **ret_text,
                size_t *ret_size)
{
    DORA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int code = fd < 0 ? -ENOENT : read_text(fd, limit, ret_text, ret_size);

    return code == 0 || code == -ENOMEM ? code : -ENOENT;
}

int
dora__file_read(const char *path, char **ret_text, size_t *ret_size,
                struct dora_error *err)
{
    DORA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = fd < 0
                   ? -errno
                   : read_text(fd, DORA__MAX_DOCUMENT + 1, ret_text, ret_size);

    if (code == -ENOMEM)
        return dora__fail(err, ENOMEM, "out of memory");
    return code < 0 ? dora__fail(err, -code, "%s: %s", path, strerror(-code))
                    : 0;
}

static int
read_below(void *directory, const char *path, char **ret_text, size_t *ret_size,
           struct dora_error *err)
{
    DORA_AUTOFREE char *whole = dora__format("%s/%s", (char *)directory, path);

    return whole == NULL ? dora__fail(err, ENOMEM, "out of memory")
                         : dora__file_read(whole, ret_text, ret_size, err);
}

static bool
has_below(void *directory, const char *path)
{
    DORA_AUTOFREE char *whole = dora__format("%s/%s", (char *)directory, path);

    return whole != NULL && access(whole, F_OK) == 0;
}

struct dora__graph_files
dora__files_below(const char *directory)
{
    return (struct dora__graph_files){
        .read = read_below, .has = has_below, .arg = (char *)directory};
}
