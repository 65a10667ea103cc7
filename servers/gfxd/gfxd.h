// gfxd, the graphics server at /gfx. See protocol.h for what it understands.
#ifndef PARLEY_SERVERS_GFXD_GFXD_H_
#define PARLEY_SERVERS_GFXD_GFXD_H_

#include "ipc/process.h"

namespace gfxd {

// Arguments: WIDTH HEIGHT, of the screen in pixels. It ticks 30 times a second.
int Main(ipc::Process& self);

// Looks at the framebuffer as a display would, and keeps what it sees: every frame as raw RGB in
// one file (for an encoder), and some as PNG pictures. Arguments: FILM-FILE PICTURE-FOLDER
// FRAME..., the frames by number. FILM-FILE is a file or pipe that is there already; if there is
// none, no film is kept.
int Recorder(ipc::Process& self);

}  // namespace gfxd

#endif  // PARLEY_SERVERS_GFXD_GFXD_H_
