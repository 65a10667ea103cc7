// What of a film is shown when: playing, paused, sought, over.
//
//   playing --Pause--> paused --Play--> playing
//   playing, paused --Seek--> the same, elsewhere; paused, the frame there is shown alone
//   playing --the last frame is taken--> over;  any --Stop--> over, for good
//
// Frames that were taken are on their way: those that follow are shown after them, whatever was
// sought. Pure: times come in as arguments, nanoseconds on any clock. Not thread-safe.
#ifndef PARLEY_APPS_CINEMA_PLAYBACK_H_
#define PARLEY_APPS_CINEMA_PLAYBACK_H_

#include <cstdint>
#include <optional>

namespace cinema {

class Playback {
 public:
  struct Frame {
    uint64_t index = 0;
    int64_t target_ns = 0;  // when it is to be on the screen
  };

  // REQUIRES: frames > 0. Plays from the first frame on, which is shown at `first_ns`.
  Playback(uint64_t frames, int64_t period_ns, int64_t first_ns)
      : frames_(frames), period_ns_(period_ns), anchor_{0, first_ns} {}

  // The next frame to be shown; nothing while it is paused, or once it is over.
  std::optional<Frame> Take();

  // The next frame is shown at `first_ns`, or when those that were taken have been, the others
  // after it at the film's rate.
  void Play(int64_t first_ns);
  void Pause() { paused_ = true; }
  // To the frame that begins next to this time of the film, kept within it; shown as by Play.
  void Seek(int64_t film_ns, int64_t first_ns);
  void Stop() { stopped_ = true; }

  bool is_paused() const { return paused_; }
  int64_t last_target_ns() const { return last_ns_; }  // of the frame that was taken last
  int64_t period_ns() const { return period_ns_; }
  bool is_over() const { return stopped_ || next_ == frames_; }
  int64_t position_ns() const { return static_cast<int64_t>(next_) * period_ns_; }
  int64_t length_ns() const { return static_cast<int64_t>(frames_) * period_ns_; }

 private:
  // What is taken next, from `first_ns` on.
  Frame AnchorAt(int64_t first_ns) const;

  const uint64_t frames_;
  const int64_t period_ns_;
  Frame anchor_;         // what was shown, or will be, since it was set going last
  int64_t last_ns_ = 0;  // the target of the frame that was taken last
  uint64_t next_ = 0;
  bool paused_ = false;
  bool still_ = false;  // paused, and the next frame is to be shown
  bool stopped_ = false;
};

}  // namespace cinema

#endif  // PARLEY_APPS_CINEMA_PLAYBACK_H_
