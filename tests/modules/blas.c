/* SPDX-License-Identifier: MIT */
/* OpenBLAS, whose threads end for a fork and come back with the next product. BLAS names the library. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 600, ROW_MAJOR = 101, NO_TRANS = 111 };

static void (*multiply)(int, int, int, int, int, int, double, const double *, int, const double *, int, double,
                        double *, int);
static double *a, *b, *c;

static int n_threads(void) {
        DIR *directory = opendir("/proc/self/task");
        int n = 0;

        while (directory && readdir(directory))
                n++;
        if (directory)
                closedir(directory);
        return n - 2;
}

/* Each element is a sum of N products 2 × 3. */
static int product_is_right(void) {
        memset(c, 0, N * N * sizeof *c);
        multiply(ROW_MAJOR, NO_TRANS, NO_TRANS, N, N, N, 1, a, N, b, N, 0, c, N);
        for (int i = 0; i < N * N; i++)
                if (c[i] != 6.0 * N)
                        return 0;
        return 1;
}

int forkserver_preload(void) {
        void *library = dlopen(getenv("BLAS"), RTLD_NOW | RTLD_GLOBAL);
        double **matrix[] = { &a, &b, &c };

        if (!library)
                return ENOENT;
        *(void **)&multiply = dlsym(library, "cblas_dgemm");
        for (int m = 0; m < 3; m++) {
                if (!(*matrix[m] = malloc(N * N * sizeof **matrix[m])))
                        return ENOMEM;
                for (int i = 0; i < N * N; i++)
                        (*matrix[m])[i] = m + 2;
        }
        return multiply && product_is_right() && n_threads() > 1 ? 0 : ENOSYS;
}

/* What the zygote froze is right, and threads come back for a worker that needs them. */
int multiplies(int argc, char **argv) {
        char line[512];
        int frozen = 0, before = n_threads();
        FILE *maps = fopen("/proc/self/maps", "re");

        (void)argc, (void)argv;
        while (maps && fgets(line, sizeof line, maps))
                frozen += strstr(line, "/memfd:forkserver-frozen") != NULL;
        if (maps)
                fclose(maps);
        for (int i = 0; i < N * N; i++)
                if (a[i] != 2 || b[i] != 3 || c[i] != 6.0 * N)
                        return printf("element %d\n", i) < 0 ? 2 : 1;
        if (!product_is_right())
                return puts("a wrong product") < 0 ? 2 : 1;
        printf("%d threads, %s, then %d or more: %s\n", before, frozen ? "frozen" : "not frozen", 2,
               n_threads() >= 2 ? "yes" : "no");
        return 0;
}
