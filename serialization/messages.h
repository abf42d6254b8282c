// What a child is told and what it answers, as C++ values. The schemas say what each field means.
//
// Functions may be called from any thread.
#ifndef BROOD_SERIALIZATION_MESSAGES_H_
#define BROOD_SERIALIZATION_MESSAGES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "serialization/value.h"

namespace brood {

enum class StartMethod { kSpawn, kFork, kForkServer };

// Whether a forkserver freezes its memory after the preload (forkserver/freeze.h).
enum class Freeze {
  kOff,
  kAuto,  // Where it pays, and can be done.
  kOn,    // An error where it cannot be done.
};

// "spawn", "fork", "forkserver".
std::string_view StartMethodName(StartMethod method);

// serialization/preparation_data.fbs
struct PreparationData {
  std::string name;
  StartMethod start_method = StartMethod::kSpawn;
  std::string executable;
  std::vector<std::string> argv;
  std::string cwd;
  std::vector<std::pair<std::string, std::optional<std::string>>> environment;
  int log_level = 0;
  std::vector<std::string> plugin_path;
  std::vector<std::string> preload;
  std::string auth_key;
  std::string parent_name;
  int64_t parent_pid = 0;
  std::vector<uint32_t> identity;
  Freeze freeze = Freeze::kOff;
};

// serialization/process_data.fbs
struct ProcessData {
  std::string target;
  // The handles of an argument stand for themselves only on the sender's side; in a message, and in a fork, they are
  // invalid placeholders until AdoptArgumentHandles.
  std::vector<TypedValue> arguments;
  std::vector<int> argument_handles;  // The child's numbers for the handles of all arguments, in order.
  std::string policy;  // As EncodePolicy writes it.
  std::vector<std::pair<int, std::string>> handles;
  int setup_handle = -1;
  int result_handle = -1;
  uint64_t max_result_bytes = 0;
  bool daemon = false;
};

// serialization/result.fbs
struct ResultError {
  std::string type;
  absl::Status status;  // Message, code and payloads.
  std::string stack;  // Of the throw: one frame a line. Empty if it is not known.
  std::shared_ptr<ResultError> cause;  // The nested exception; null if there is none.
};

// What an error may take on the wire, on top of a value's bound.
inline constexpr uint64_t kMaxErrorBytes = uint64_t{1} << 20;

struct Result {
  std::optional<TypedValue> value;
  std::optional<ResultError> error;
};

std::string EncodePreparationData(const PreparationData& data);
std::string EncodeProcessData(const ProcessData& data);
std::string EncodeResult(const Result& result);

// Verify the bytes, then read them; they must be aligned to 8 (ReadMessage gives such). Errors: DataLoss.
absl::StatusOr<PreparationData> DecodePreparationData(std::string_view bytes);
absl::StatusOr<ProcessData> DecodeProcessData(std::string_view bytes);
absl::StatusOr<Result> DecodeResult(std::string_view bytes);

// Takes the handles out of `arguments` and leaves placeholders; the order is that of ProcessData::argument_handles.
WireHandles ReleaseArgumentHandles(std::vector<TypedValue>& arguments);

// In the child: makes `data` the owner of the descriptors that it names, and puts them into its arguments. Errors:
// DataLoss (a number that is not an open descriptor above 2, or not as many as there are placeholders).
absl::Status AdoptArgumentHandles(ProcessData& data);

}  // namespace brood

#endif  // BROOD_SERIALIZATION_MESSAGES_H_
