// The table of programs: one line a program. See programs.h.
#include "apps/parley/programs.h"

#include "apps/cinema/cinema.h"
#include "apps/pathfinder/pathfinder.h"
#include "apps/philosophers/philosophers.h"
#include "ipc/world.h"
#include "servers/console/console.h"
#include "servers/devices/devices.h"
#include "servers/fsd/fsd.h"
#include "servers/fused/fused.h"
#include "servers/gfxd/gfxd.h"
#include "servers/logd/logd.h"
#include "servers/ramfs/ramfs.h"

namespace parley_tool {

ipc::ProgramTable Programs() {
  return {
      {"nameserver", ipc::RunNameServer},
      {"console", console::Main},
      {"devices", devices::Main},
      {"fsd", fsd::Main},
      {"fused", fused::Main},
      {"gfxd", gfxd::Main},
      {"logd", logd::Main},
      {"ramfs", ramfs::Main},
      {"recorder", gfxd::Recorder},
      {"cinema-player", cinema::Player},
      {"cinema-overlay", cinema::Overlay},
      {"cinema-background", cinema::Background},
      {"pathfinder-bus", pathfinder::Bus},
      {"pathfinder-watchdog", pathfinder::Watchdog},
      {"pathfinder-weather", pathfinder::Weather},
      {"pathfinder-communications", pathfinder::Communications},
      {"pathfinder-distribution", pathfinder::Distribution},
      {"philosophers-fork", philosophers::Fork},
      {"philosophers-philosopher", philosophers::Philosopher},
  };
}

}  // namespace parley_tool
