// libfuse's low-level interface, in the version that this is written for.
#ifndef PARLEY_SERVERS_FUSED_FUSE_H_
#define PARLEY_SERVERS_FUSED_FUSE_H_

#define FUSE_USE_VERSION 35
#include <fuse3/fuse_lowlevel.h>

#endif  // PARLEY_SERVERS_FUSED_FUSE_H_
