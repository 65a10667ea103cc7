// The cinema: a film read by fsd and shown by gfxd at 30 frames a second, with a clock above it and
// a moving pattern behind it. Runs with pixels in shared regions, or, for comparison, with the
// pixels inside the messages.
#ifndef PARLEY_APPS_CINEMA_CINEMA_H_
#define PARLEY_APPS_CINEMA_CINEMA_H_

#include "ipc/process.h"

namespace cinema {

// Reads a film frame by frame from fsd and presents each to gfxd for its time. Arguments: FILE
// FRAMES-IN-FLIGHT
// [--inline]. Counts `frames`, and `frames_missed` for those that were not on the screen within one
// frame's time.
int Player(ipc::Process& self);

// A clock and a frame counter, redrawn for every frame. Arguments: [--inline].
int Overlay(ipc::Process& self);

// A pattern behind everything, redrawn for every frame if time is left. Arguments: [--inline].
int Background(ipc::Process& self);

}  // namespace cinema

#endif  // PARLEY_APPS_CINEMA_CINEMA_H_
