// One texture that is stretched over the window, its sides in proportion. See window.h.
#include "apps/view/window.h"

#include <SDL2/SDL.h>

#include "absl/strings/str_cat.h"

namespace view {
namespace {

absl::Status Failure(absl::string_view what) {
  return absl::UnavailableError(
      absl::StrCat(what, ": ", SDL_GetError(), "; a window needs an X11 or Wayland display"));
}

}  // namespace

void Window::Quit::operator()(SDL_Window* window) const {
  SDL_DestroyWindow(window);
  SDL_Quit();
}
void Window::Quit::operator()(SDL_Renderer* renderer) const { SDL_DestroyRenderer(renderer); }
void Window::Quit::operator()(SDL_Texture* texture) const { SDL_DestroyTexture(texture); }

absl::StatusOr<Window> Window::Open(const std::string& title, int width, int height) {
  // Ctrl-C is for who has started it.
  SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
  if (SDL_Init(SDL_INIT_VIDEO) != 0) return Failure("no window can be opened");
  // SDL would rather draw where nobody looks than say that there is no display.
  const absl::string_view driver = SDL_GetCurrentVideoDriver();
  if (SDL_getenv("SDL_VIDEODRIVER") == nullptr && (driver == "offscreen" || driver == "dummy")) {
    SDL_Quit();
    SDL_SetError("there is no display");
    return Failure("no window can be opened");
  }
  Window window;
  window.window_.reset(SDL_CreateWindow(title.c_str(), SDL_WINDOWPOS_UNDEFINED,
                                        SDL_WINDOWPOS_UNDEFINED, width, height,
                                        SDL_WINDOW_RESIZABLE));
  if (window.window_ == nullptr) {
    absl::Status why = Failure("no window can be opened");
    SDL_Quit();
    return why;
  }
  window.renderer_.reset(SDL_CreateRenderer(window.window_.get(), -1, 0));
  if (window.renderer_ == nullptr) return Failure("nothing can be drawn in the window");
  SDL_RenderSetLogicalSize(window.renderer_.get(), width, height);
  window.texture_.reset(SDL_CreateTexture(window.renderer_.get(), SDL_PIXELFORMAT_RGBA32,
                                          SDL_TEXTUREACCESS_STREAMING, width, height));
  if (window.texture_ == nullptr) return Failure("no picture can be shown in the window");
  SDL_SetTextureBlendMode(window.texture_.get(), SDL_BLENDMODE_NONE);
  return window;
}

absl::Status Window::Show(gfxd::Picture picture) {
  const int row_bytes = picture.width * static_cast<int>(sizeof(gfxd::Pixel));
  if (SDL_UpdateTexture(texture_.get(), nullptr, picture.pixels, row_bytes) != 0 ||
      SDL_RenderClear(renderer_.get()) != 0 ||
      SDL_RenderCopy(renderer_.get(), texture_.get(), nullptr, nullptr) != 0) {
    return Failure("the picture cannot be shown");
  }
  SDL_RenderPresent(renderer_.get());
  return absl::OkStatus();
}

bool Window::IsWanted() {
  bool wanted = true;
  SDL_Event event;
  while (SDL_PollEvent(&event) != 0) {
    if (event.type == SDL_QUIT) wanted = false;
    if (event.type != SDL_KEYDOWN) continue;
    if (event.key.keysym.sym == SDLK_ESCAPE || event.key.keysym.sym == SDLK_q) wanted = false;
  }
  return wanted;
}

}  // namespace view
