#ifndef GC_STATUS_H
#define GC_STATUS_H

/*
 * The phrase of an HTTP status (RFC 9110, section 15), which is a problem's
 * title as long as its type is about:blank (RFC 9457, section 4.2.1).
 */
const char *gc_status_phrase(unsigned status);

#endif
