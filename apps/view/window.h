// A window on the screen of a person, by SDL2.
#ifndef PARLEY_APPS_VIEW_WINDOW_H_
#define PARLEY_APPS_VIEW_WINDOW_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "servers/gfxd/pixel.h"

struct SDL_Renderer;
struct SDL_Texture;
struct SDL_Window;

namespace view {

// To be used by one thread. A process has one at most.
class Window {
 public:
  // For pictures of this size, which is its own at first; a person may make it larger or smaller.
  // kUnavailable: there is no display, with SDL's own words.
  static absl::StatusOr<Window> Open(const std::string& title, int width, int height);
  Window(Window&&) = default;

  // Of the size it was opened for. kUnavailable.
  absl::Status Show(gfxd::Picture picture);
  // Takes what the person has done meanwhile: false once the window is to close, by its button,
  // Escape or q. Does not block.
  bool IsWanted();

 private:
  struct Quit {
    void operator()(SDL_Window* window) const;
    void operator()(SDL_Renderer* renderer) const;
    void operator()(SDL_Texture* texture) const;
  };
  Window() = default;

  std::unique_ptr<SDL_Window, Quit> window_;
  std::unique_ptr<SDL_Renderer, Quit> renderer_;
  std::unique_ptr<SDL_Texture, Quit> texture_;
};

}  // namespace view

#endif  // PARLEY_APPS_VIEW_WINDOW_H_
