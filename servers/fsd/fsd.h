// fsd, the file server: a folder of the host as files at /fs.
//
// Linux does the work: each open file has a descriptor of its own, so what a client that dies was
// about is left as by any process that dies. Reads and writes go straight between the file and the
// client's memory.
//
// It serves one file system: what is mounted below the folder is listed, but fails with EXDEV.
// Another fsd can serve that.
#ifndef PARLEY_SERVERS_FSD_FSD_H_
#define PARLEY_SERVERS_FSD_FSD_H_

#include "ipc/process.h"

namespace fsd {

inline constexpr char kName[] = "/fs";

// Arguments: FOLDER [--name=/PATH] [--device-mbps=N]. Without N the disk is the host's, by
// io_uring, many transfers at a time. With it the folder lies on a device that transfers N million
// bytes a second, one request at a time, the highest priority first (0: in no time). Where time is
// virtual there is always such a device, without N one that takes no time: a run does not depend on
// the host's disk.
int Main(ipc::Process& self);

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_FSD_H_
