// Feeds a pool with the elements of a Map, chunk by chunk, as far ahead of the consumer as is useful. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_MAP_FEED_H_
#define BROOD_LAUNCHER_EXECUTOR_MAP_FEED_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/fork_generation.h"
#include "launcher/executor/pool.h"
#include "launcher/executor/task.h"
#include "serialization/wire.h"

namespace brood::internal {

// The arguments of a Map, one call after the other.
class MapSource {
 public:
  virtual ~MapSource() = default;
  // Writes the next call's arguments (arguments.h). False after the last one. Throws what the range throws.
  virtual bool WriteNext(WireWriter& to) = 0;
  virtual std::optional<size_t> Left() const = 0;  // Nothing if that is not known.
};

enum class MapOrder { kInput, kCompletion };

class MapFeed {
 public:
  // If `target` is not OK each element gets its error, and `pool` may be null. A `chunk` of 0 is chosen by what
  // elements take.
  MapFeed(std::shared_ptr<Pool> pool, absl::StatusOr<const PoolTarget*> target, size_t chunk, absl::Duration timeout,
          MapOrder order, std::unique_ptr<MapSource> source);
  ~MapFeed();  // What has not begun is not run any more.

  // Waits for the next element's result. False after the last. In a fork of the process that made it, one error.
  bool Await();
  // Of the element that Await has found: its place in the input, and its error, or the bytes that begin with its result
  // and are to be advanced past it.
  size_t index() const { return index_; }
  const absl::Status& error() const { return current_->task->results[piece_].error; }
  std::string_view& bytes() { return bytes_; }
  void Advance();

 private:
  struct Chunk {
    std::shared_ptr<Task> task;
    size_t first = 0;  // Its first element's place.
  };

  void Fill();
  void SubmitChunk();
  absl::Status ReadElement(WireWriter& to);
  void AddError(const absl::Status& error);
  size_t ChunkSize() const;
  void TakeNext();
  void EnterPiece();

  const std::shared_ptr<Pool> pool_;
  const absl::StatusOr<const PoolTarget*> target_;
  const size_t workers_;
  const size_t fixed_chunk_;
  const absl::Duration timeout_;
  const MapOrder order_;
  const std::unique_ptr<MapSource> source_;
  const uint64_t creator_ = ForkGeneration();
  std::shared_ptr<Completion> completion_ = std::make_shared<Completion>();  // Null: a fork's copy.

  std::list<Chunk> ahead_;  // Submitted and not consumed, in the order of the input.
  size_t submitted_ = 0;    // Elements.
  bool at_end_ = false;     // Of the source.
  size_t grown_ = 1;        // The chunk size that the time of the last chunks suggests.

  std::optional<Chunk> current_;  // Being consumed.
  size_t piece_ = 0;
  uint32_t left_in_piece_ = 0;
  size_t index_ = 0;
  std::string_view bytes_;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_MAP_FEED_H_
