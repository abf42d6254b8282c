// What a `brood serve` tells of itself, to whoever it serves.
//
//   BROOD_ASSIGN_OR_RETURN(const ServeStatus status, StatusOfServer(path));
//   std::cout << StatusPrometheus(status);
#ifndef BROOD_SERVE_STATUS_H_
#define BROOD_SERVE_STATUS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace brood {

// How many took how long.
class Histogram {
 public:
  static constexpr std::array<double, 15> kBoundsInSeconds = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                                              0.2,    0.5,   1,     5,     10,   60,   600};

  void Add(absl::Duration time);

  // The lowest bound below which that share (0 to 1) of all is; infinite beyond the last. Zero if there are none.
  absl::Duration Quantile(double share) const;
  uint64_t count() const;

  std::array<uint64_t, kBoundsInSeconds.size() + 1> counts = {};  // Up to each bound, and beyond the last.
  absl::Duration sum;

  bool operator==(const Histogram&) const = default;
};

struct ServePreload {
  std::string name;
  absl::Duration time;  // As the next, of the last start.
  uint64_t memory_bytes = 0;
  bool operator==(const ServePreload&) const = default;
};

// Of the server itself, and of each of its templates.
struct ServeTemplateStatus {
  std::string path;  // As clients name it; empty: the server.
  bool running = false;
  uint64_t children = 0;      // It was asked for.
  absl::Duration time;        // What its start took.
  uint64_t memory_bytes = 0;  // That its preloads have left.
  std::vector<ServePreload> preload;  // Its own, besides those of what it is a template of.
  bool operator==(const ServeTemplateStatus&) const = default;
};

struct ServeStatus {
  std::string version;
  absl::Duration uptime;
  uint64_t connections = 0;
  uint64_t waiting = 0;  // Of those, which have asked for nothing yet.
  uint64_t live = 0;     // Children.
  uint64_t born = 0;     // Likewise, since the start.
  uint64_t refused = 0;  // Connections that got nothing: who, what they asked for, or too late.
  std::map<std::string, uint64_t> ended;  // By Outcome::StatusWord.
  Histogram start;       // From the request until the target ran.
  Histogram run;         // From the request until the end.
  uint64_t serve_bytes = 0;       // Resident memory of the server.
  uint64_t forkserver_bytes = 0;  // Of the processes of its forkserver, without children; what they share counts once each.
  uint64_t servers = 0;  // Processes that have preloaded: the forkserver and its templates, also those that have been replaced.
  uint64_t keepers = 0;  // Processes that each have one child at a time, or wait for one.
  std::vector<ServeTemplateStatus> templates;  // By path, the server first.
  uint64_t rotations = 0;          // How often the forkserver and its templates were replaced.
  uint64_t rotation_failures = 0;  // How often that failed, and the old ones went on.
  std::string rotation_failure;    // Why, the last time; empty: it did not.
  uint64_t replaced = 0;           // Forkservers and templates that have been, and have children yet.

  bool operator==(const ServeStatus&) const = default;
};

std::string EncodeServeStatus(const ServeStatus& status);
// Errors: DataLoss.
absl::StatusOr<ServeStatus> DecodeServeStatus(std::string_view bytes);

std::string StatusText(const ServeStatus& status);
std::string StatusJson(const ServeStatus& status);        // One line.
std::string StatusPrometheus(const ServeStatus& status);  // The text exposition format, version 0.0.4.

// Asks the server at `path`. Errors: those of PolicyOfServer.
absl::StatusOr<ServeStatus> StatusOfServer(const std::string& path, std::optional<uint32_t> server_uid = {});

}  // namespace brood

#endif  // BROOD_SERVE_STATUS_H_
