/* file.c - see file.h. */
#include "file.h"

#include "graph/document.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

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

int
dora__file_read(const char *path, char **ret_text, size_t *ret_size,
                struct dora_error *err)
{
    DORA_AUTOFREE char *text = malloc(DORA__MAX_DOCUMENT + 1);
    DORA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t n = 1;

    if (text == NULL)
        return dora__fail(err, ENOMEM, "out of memory");
    while (fd >= 0 && n != 0 && size <= DORA__MAX_DOCUMENT) {
        n = read(fd, text + size, DORA__MAX_DOCUMENT + 1 - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        size += (size_t)n;
    }
    if (fd < 0 || n < 0)
        return dora__fail(err, errno, "%s: %s", path, strerror(errno));
    *ret_size = size;
    *ret_text = text;
    text = NULL;
    return 0;
}
