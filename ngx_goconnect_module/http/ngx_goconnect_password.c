#include "http/ngx_goconnect_password.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include "http/ngx_goconnect_auth.h"
#include "http/ngx_goconnect_conf.h"
#include "shm/ngx_goconnect_metrics.h"


#define NGX_GOCONNECT_PASSWORD_QUEUE 32      /* jobs of a worker */
#define NGX_GOCONNECT_PASSWORD_TIMEOUT 10000 /* ms, queue and work */
#define NGX_GOCONNECT_PASSWORD_SALT 16       /* bytes */
#define NGX_GOCONNECT_PASSWORD_PREFIX "$2b$12$"


/*
 * Belongs to the thread task from the post to its completion, and is freed
 * then, whatever became of the request meanwhile.
 */

typedef struct {
    ngx_thread_task_t task; /* first: allocated and freed as one */
    ngx_event_t timer;

    ngx_http_request_t *r; /* NULL: nobody waits any more */
    ngx_goconnect_password_done_pt done;
    void *data;
    ngx_http_cleanup_t *cleanup;

    ngx_atomic_t aborted; /* read by the thread */
    ngx_int_t rc;

    unsigned verify : 1;
    unsigned dummy : 1;

    char password[NGX_GOCONNECT_PASSWORD_MAX + 1];
    char setting[NGX_GOCONNECT_PASSWORD_HASH + 1]; /* salt, or hash */
    char hash[CRYPT_OUTPUT_SIZE];
} ngx_goconnect_password_job_t;


static ngx_int_t
ngx_goconnect_password_start(ngx_http_request_t *r, ngx_str_t *password,
                             ngx_str_t *hash, ngx_uint_t verify,
                             ngx_goconnect_password_done_pt done, void *data);
static ngx_int_t
ngx_goconnect_password_setting(ngx_goconnect_password_job_t *job,
                               ngx_str_t *hash);
static ngx_int_t ngx_goconnect_password_valid(ngx_str_t *hash);
static void ngx_goconnect_password_thread(void *data, ngx_log_t *log);
static void ngx_goconnect_password_complete(ngx_event_t *ev);
static void ngx_goconnect_password_timeout(ngx_event_t *ev);
static void ngx_goconnect_password_cleanup(void *data);
static void ngx_goconnect_password_end(ngx_goconnect_password_job_t *job,
                                       ngx_int_t rc);
static void ngx_goconnect_password_free(ngx_goconnect_password_job_t *job);


/* of a random password that nobody has kept */
static const char ngx_goconnect_password_dummy[] =
    "$2b$12$5aecgMs4BDMTilBV9W3iw..jPuGcRi.KDFLQQheMYcY/Japt/99ka";

static ngx_uint_t ngx_goconnect_password_jobs;


ngx_int_t
ngx_goconnect_password_hash(ngx_http_request_t *r, ngx_str_t *password,
                            ngx_goconnect_password_done_pt done, void *data)
{
    if (password->len == 0 || password->len > NGX_GOCONNECT_PASSWORD_MAX ||
        memchr(password->data, '\0', password->len)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "goconnect: password of %uz bytes cannot be hashed",
                      password->len);
        return NGX_ERROR;
    }

    return ngx_goconnect_password_start(r, password, NULL, 0, done, data);
}


ngx_int_t
ngx_goconnect_password_verify(ngx_http_request_t *r, ngx_str_t *password,
                              ngx_str_t *hash,
                              ngx_goconnect_password_done_pt done, void *data)
{
    if (hash && ngx_goconnect_password_valid(hash) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "goconnect: a stored password hash is not bcrypt of "
                      "cost %d",
                      NGX_GOCONNECT_PASSWORD_COST);
        return NGX_ERROR;
    }

    return ngx_goconnect_password_start(r, password, hash, 1, done, data);
}


static ngx_int_t
ngx_goconnect_password_start(ngx_http_request_t *r, ngx_str_t *password,
                             ngx_str_t *hash, ngx_uint_t verify,
                             ngx_goconnect_password_done_pt done, void *data)
{
    size_t len;
    ngx_thread_pool_t *pool;
    ngx_goconnect_password_job_t *job;

    /* our own bound, since nginx's queue logs an error when it is full */

    if (ngx_goconnect_password_jobs >= NGX_GOCONNECT_PASSWORD_QUEUE) {
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_LIMIT_HASHES, 1);
        return NGX_BUSY;
    }

    job = ngx_calloc(sizeof(ngx_goconnect_password_job_t), ngx_cycle->log);
    if (job == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_HASHES, 1);
    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_HASHES_WAITING,
                             ++ngx_goconnect_password_jobs);

    job->cleanup = ngx_http_cleanup_add(r, 0);
    if (job->cleanup == NULL) {
        goto failed;
    }

    job->r = r;
    job->done = done;
    job->data = data;
    job->verify = verify ? 1 : 0;

    /* a password that none of ours can be is looked at for as long */

    len = ngx_min(password->len, NGX_GOCONNECT_PASSWORD_MAX);
    ngx_memcpy(job->password, password->data, len);

    if (len != password->len || memchr(job->password, '\0', len)) {
        hash = NULL;
    }

    if (ngx_goconnect_password_setting(job, hash) != NGX_OK) {
        goto failed;
    }

    job->task.ctx = job;
    job->task.handler = ngx_goconnect_password_thread;
    job->task.event.handler = ngx_goconnect_password_complete;
    job->task.event.data = job;
    job->task.event.log = ngx_cycle->log;

    pool = ngx_goconnect_main_conf()->thread_pool;

    if (ngx_thread_task_post(pool, &job->task) != NGX_OK) {
        goto failed;
    }

    job->cleanup->handler = ngx_goconnect_password_cleanup;
    job->cleanup->data = job;

    /* not cancelable: a worker that is told to quit waits for the answer */

    job->timer.handler = ngx_goconnect_password_timeout;
    job->timer.data = job;
    job->timer.log = ngx_cycle->log;
    ngx_add_timer(&job->timer, NGX_GOCONNECT_PASSWORD_TIMEOUT);

    return NGX_OK;

failed:

    ngx_goconnect_password_free(job);

    return NGX_ERROR;
}


/* what libcrypt takes: the hash to compare with, or a new salt */

static ngx_int_t
ngx_goconnect_password_setting(ngx_goconnect_password_job_t *job,
                               ngx_str_t *hash)
{
    u_char salt[NGX_GOCONNECT_PASSWORD_SALT];

    if (hash) {
        ngx_memcpy(job->setting, hash->data, NGX_GOCONNECT_PASSWORD_HASH);
        return NGX_OK;
    }

    if (job->verify) {
        job->dummy = 1;
        ngx_memcpy(job->setting, ngx_goconnect_password_dummy,
                   NGX_GOCONNECT_PASSWORD_HASH);
        return NGX_OK;
    }

    if (ngx_goconnect_secret_random(salt, sizeof(salt)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (crypt_gensalt_rn("$2b$", NGX_GOCONNECT_PASSWORD_COST,
                         (const char *) salt, sizeof(salt), job->setting,
                         sizeof(job->setting)) == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "goconnect: crypt_gensalt_rn() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_password_valid(ngx_str_t *hash)
{
    u_char c;
    size_t i, prefix;

    prefix = sizeof(NGX_GOCONNECT_PASSWORD_PREFIX) - 1;

    if (hash->len != NGX_GOCONNECT_PASSWORD_HASH ||
        ngx_memcmp(hash->data, NGX_GOCONNECT_PASSWORD_PREFIX, prefix) != 0) {
        return NGX_DECLINED;
    }

    for (i = prefix; i < hash->len; i++) {
        c = hash->data[i];

        if (!((c >= '.' && c <= '9') || (c >= 'A' && c <= 'Z') ||
              (c >= 'a' && c <= 'z'))) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* the only part that runs outside of the worker's own thread */

static void
ngx_goconnect_password_thread(void *data, ngx_log_t *log)
{
    ngx_goconnect_password_job_t *job = data;

    int size;
    char *hash;
    void *scratch;

    if (job->aborted) {
        job->rc = NGX_BUSY;
        return;
    }

    job->rc = NGX_ERROR;
    scratch = NULL;
    size = 0;

    hash = crypt_ra(job->password, job->setting, &scratch, &size);

    if (hash && ngx_strlen(hash) == NGX_GOCONNECT_PASSWORD_HASH) {
        ngx_memcpy(job->hash, hash, NGX_GOCONNECT_PASSWORD_HASH);
        job->rc = NGX_OK;
    }

    if (scratch) {
        ngx_explicit_memzero(scratch, (size_t) size);
        free(scratch);
    }
}


static void
ngx_goconnect_password_complete(ngx_event_t *ev)
{
    ngx_goconnect_password_job_t *job = ev->data;

    ngx_int_t rc;

    rc = job->rc;

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: libcrypt does not make a bcrypt hash");
    }

    if (rc == NGX_OK && job->verify &&
        (CRYPTO_memcmp(job->hash, job->setting, NGX_GOCONNECT_PASSWORD_HASH) !=
             0 ||
         job->dummy)) {
        rc = NGX_DECLINED;
    }

    ngx_goconnect_password_end(job, rc);
    ngx_goconnect_password_free(job);
}


static void
ngx_goconnect_password_timeout(ngx_event_t *ev)
{
    ngx_goconnect_password_end(ev->data, NGX_BUSY);
}


/* the request goes away */

static void
ngx_goconnect_password_cleanup(void *data)
{
    ngx_goconnect_password_job_t *job = data;

    job->r = NULL;
    job->aborted = 1;

    if (job->timer.timer_set) {
        ngx_del_timer(&job->timer);
    }
}


/* tells the request, if it is still there */

static void
ngx_goconnect_password_end(ngx_goconnect_password_job_t *job, ngx_int_t rc)
{
    ngx_str_t hash;
    ngx_connection_t *c;
    ngx_http_request_t *r;

    r = job->r;

    if (r == NULL) {
        return;
    }

    job->cleanup->handler = NULL;
    ngx_goconnect_password_cleanup(job);

    c = r->connection;
    ngx_http_set_log_request(c->log, r);

    hash.data = (u_char *) (job->verify ? job->setting : job->hash);
    hash.len = rc == NGX_OK ? NGX_GOCONNECT_PASSWORD_HASH : 0;

    job->done(r, rc, &hash, job->data);

    ngx_http_run_posted_requests(c);
}


static void
ngx_goconnect_password_free(ngx_goconnect_password_job_t *job)
{
    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_HASHES_WAITING,
                             --ngx_goconnect_password_jobs);
    ngx_explicit_memzero(job, sizeof(ngx_goconnect_password_job_t));
    ngx_free(job);
}
