#ifndef OS_MEMORY_H
#define OS_MEMORY_H

/* Gives the system back what the heap holds and nobody uses. */
void memory_return(void);

#endif
