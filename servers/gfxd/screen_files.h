// The screen as files, for whatever reads files: /dev/gfx/fb0 and /dev/gfx/fb0.png.
#ifndef PARLEY_SERVERS_GFXD_SCREEN_FILES_H_
#define PARLEY_SERVERS_GFXD_SCREEN_FILES_H_

#include "ipc/process.h"
#include "servers/gfxd/screen.h"

namespace gfxd {

// Serves them until the process ends or the thread is cancelled: the exit status, after a line on
// stderr if the name cannot be had. A picture is encoded at the priority of who reads it.
int ServeScreenFiles(ipc::Process& self, Screen& screen);

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_SCREEN_FILES_H_
