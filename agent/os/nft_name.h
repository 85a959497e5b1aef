#ifndef OS_NFT_NAME_H
#define OS_NFT_NAME_H

/* Of our child, by which the kernel says whose transaction it was. */
#define NFT_NAME "goconnect-nft"

#endif
