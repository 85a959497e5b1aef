/*
 * The table's file.  It is mapped by the master and inherited by the workers,
 * so that it serves a reload, a killed worker and a restart alike; after a boot
 * or with another layout it begins anew.
 */


#include "relay/ngx_goconnect_relay_private.h"

#include <errno.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sys/mman.h>


#define NGX_GOCONNECT_RELAY_LAYOUT 1
#define NGX_GOCONNECT_RELAY_BOOT "/proc/sys/kernel/random/boot_id"
#define NGX_GOCONNECT_RELAY_BOOT_LEN 36
#define NGX_GOCONNECT_RELAY_WAIT 200000000 /* nanoseconds for the lock */


struct ngx_goconnect_relay_shared_s {
    char magic[16];
    uint32_t layout;
    uint32_t peers;
    uint64_t size; /* of the table */
    char boot[NGX_GOCONNECT_RELAY_BOOT_LEN];
    unsigned char id[GC_RELAY_ID];
    pthread_mutex_t mutex;
};


#define NGX_GOCONNECT_RELAY_HEADER \
    ngx_align(sizeof(ngx_goconnect_relay_shared_t), 4096UL)


static const char ngx_goconnect_relay_magic[16] = "goconnect-relay";


static void
ngx_goconnect_relay_state_unmap(void *data)
{
    ngx_goconnect_relay_conf_t *conf = data;

    if (conf->shared) {
        (void) munmap(conf->shared,
                      NGX_GOCONNECT_RELAY_HEADER + gc_relay_size(conf->peers));
    }
}


static ngx_int_t
ngx_goconnect_relay_boot(char boot[NGX_GOCONNECT_RELAY_BOOT_LEN])
{
    int fd;
    ssize_t n;

    fd = open(NGX_GOCONNECT_RELAY_BOOT, O_RDONLY | O_CLOEXEC);

    if (fd == -1) {
        return NGX_ERROR;
    }

    n = read(fd, boot, NGX_GOCONNECT_RELAY_BOOT_LEN);
    (void) close(fd);

    return n == NGX_GOCONNECT_RELAY_BOOT_LEN ? NGX_OK : NGX_ERROR;
}


/* NULL: it cannot be mapped. */
static ngx_goconnect_relay_shared_t *
ngx_goconnect_relay_state_open(int fd, size_t size)
{
    void *map;

    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return map == MAP_FAILED ? NULL : map;
}


/* What an earlier nginx left, if it is of this boot and of this size. */
static ngx_int_t
ngx_goconnect_relay_state_attach(ngx_goconnect_relay_conf_t *conf,
                                 const char *boot)
{
    int fd;
    size_t size;
    struct stat info;
    ngx_goconnect_relay_shared_t *shared;

    size = NGX_GOCONNECT_RELAY_HEADER + gc_relay_size(conf->peers);
    fd = open((char *) conf->state.data, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd == -1) {
        return NGX_DECLINED;
    }

    shared = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
                     info.st_uid == geteuid() && (size_t) info.st_size == size
                 ? ngx_goconnect_relay_state_open(fd, size)
                 : NULL;
    (void) close(fd);

    if (shared == NULL) {
        return NGX_DECLINED;
    }

    if (memcmp(shared->magic, ngx_goconnect_relay_magic,
               sizeof(shared->magic)) != 0 ||
        shared->layout != NGX_GOCONNECT_RELAY_LAYOUT ||
        shared->peers != conf->peers ||
        shared->size != gc_relay_size(conf->peers) ||
        memcmp(shared->boot, boot, sizeof(shared->boot)) != 0 ||
        memcmp(shared->id, conf->id, sizeof(shared->id)) != 0) {
        (void) munmap(shared, size);
        return NGX_DECLINED;
    }

    conf->shared = shared;
    conf->table =
        gc_relay_attach((u_char *) shared + NGX_GOCONNECT_RELAY_HEADER,
                        gc_relay_size(conf->peers), conf->peers);

    if (conf->table == NULL) {
        (void) munmap(shared, size);
        conf->shared = NULL;
    }

    return conf->table ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_goconnect_relay_state_fill(ngx_goconnect_relay_conf_t *conf,
                               ngx_goconnect_relay_shared_t *shared,
                               const char *boot)
{
    uint64_t start;
    unsigned char random[64];
    pthread_mutexattr_t attr;

    if (RAND_bytes(random, sizeof(random)) != 1 ||
        RAND_bytes((unsigned char *) &start, sizeof(start)) != 1 ||
        pthread_mutexattr_init(&attr) != 0) {
        return NGX_ERROR;
    }

    if (pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) != 0 ||
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) != 0 ||
        pthread_mutex_init(&shared->mutex, &attr) != 0) {
        (void) pthread_mutexattr_destroy(&attr);
        return NGX_ERROR;
    }

    (void) pthread_mutexattr_destroy(&attr);

    shared->layout = NGX_GOCONNECT_RELAY_LAYOUT;
    shared->peers = conf->peers;
    shared->size = gc_relay_size(conf->peers);
    ngx_memcpy(shared->boot, boot, sizeof(shared->boot));
    ngx_memcpy(shared->id, conf->id, sizeof(shared->id));

    conf->table =
        gc_relay_create((u_char *) shared + NGX_GOCONNECT_RELAY_HEADER,
                        conf->peers, start, random);
    ngx_explicit_memzero(random, sizeof(random));

    if (conf->table == NULL) {
        return NGX_ERROR;
    }

    /* the last: a file that was not finished is not taken */
    ngx_memcpy(shared->magic, ngx_goconnect_relay_magic, sizeof(shared->magic));
    conf->shared = shared;

    return NGX_OK;
}


/* A new file takes the old one's name: who has that mapped keeps it. */
static ngx_int_t
ngx_goconnect_relay_state_create(ngx_conf_t *cf,
                                 ngx_goconnect_relay_conf_t *conf,
                                 const char *boot)
{
    int fd;
    char *path;
    size_t size;
    ngx_goconnect_relay_shared_t *shared;

    size = NGX_GOCONNECT_RELAY_HEADER + gc_relay_size(conf->peers);
    path = ngx_pnalloc(cf->pool, conf->state.len + sizeof(".new"));

    if (path == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf((u_char *) path, "%V.new%Z", &conf->state);
    (void) unlink(path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd == -1 || ftruncate(fd, (off_t) size) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "goconnect_relay: cannot make \"%s\" of %uz bytes; "
                           "expected state=FILE in a folder that nginx may "
                           "write to",
                           path, size);

        if (fd != -1) {
            (void) close(fd);
            (void) unlink(path);
        }

        return NGX_ERROR;
    }

    shared = ngx_goconnect_relay_state_open(fd, size);
    (void) close(fd);

    if (shared == NULL ||
        ngx_goconnect_relay_state_fill(conf, shared, boot) != NGX_OK ||
        rename(path, (char *) conf->state.data) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "goconnect_relay: cannot use \"%V\"", &conf->state);
        (void) unlink(path);

        if (shared && conf->shared == NULL) {
            (void) munmap(shared, size);
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_relay_state_map(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf)
{
    char boot[NGX_GOCONNECT_RELAY_BOOT_LEN];
    ngx_pool_cleanup_t *cleanup;

    cleanup = ngx_pool_cleanup_add(cf->cycle->pool, 0);

    if (cleanup == NULL) {
        return NGX_ERROR;
    }

    cleanup->handler = ngx_goconnect_relay_state_unmap;
    cleanup->data = conf;

    /*
     * A unit with ProcSubset=pid hides it; the file is in /run there, which a
     * boot empties.
     */

    if (ngx_goconnect_relay_boot(boot) != NGX_OK) {
        ngx_memset(boot, '-', sizeof(boot));
    }

    return ngx_goconnect_relay_state_attach(conf, boot) == NGX_OK
               ? NGX_OK
               : ngx_goconnect_relay_state_create(cf, conf, boot);
}


ngx_int_t
ngx_goconnect_relay_lock(ngx_goconnect_relay_conf_t *conf)
{
    int rc;
    struct timespec until;

    rc = pthread_mutex_trylock(&conf->shared->mutex);

    if (rc == EBUSY) {
        (void) clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += NGX_GOCONNECT_RELAY_WAIT;

        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }

        rc = pthread_mutex_timedlock(&conf->shared->mutex, &until);
    }

    if (rc == EOWNERDEAD) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "goconnect: somebody died while changing the relay's "
                      "table, %ui records are forgotten",
                      (ngx_uint_t) gc_relay_repair(conf->table));
        (void) pthread_mutex_consistent(&conf->shared->mutex);
        rc = 0;
    }

    return rc == 0 ? NGX_OK : NGX_BUSY;
}


void
ngx_goconnect_relay_unlock(ngx_goconnect_relay_conf_t *conf)
{
    (void) pthread_mutex_unlock(&conf->shared->mutex);
}
