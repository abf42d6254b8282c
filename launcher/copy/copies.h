// The caller's part of copying files into a child and out of it: opens what is outside, before the child is born, and puts what
// came out in its place when it has ended.
#ifndef BROOD_LAUNCHER_COPY_COPIES_H_
#define BROOD_LAUNCHER_COPY_COPIES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "base/untrusted_directories.h"
#include "launcher/copy/copy_record.h"
#include "launcher/launch_options.h"
#include "launcher/outcome.h"

namespace brood {

// Move-only. Files that were begun and not kept are removed when it goes.
class Copies {
 public:
  Copies() = default;
  Copies(Copies&&) = default;
  Copies& operator=(Copies&&) = default;
  ~Copies();

  // Errors: InvalidArgument (a path that is not absolute, or leads upwards; too many; no regular file), NotFound and the like.
  // `writable` is as OpenGivenFile has it.
  static absl::StatusOr<Copies> Prepare(const std::vector<CopyIn>& in, const std::vector<CopyOut>& out, const UntrustedDirectories& writable);

  // Points into this object, which must stay.
  CopyRecord Record() const;

  bool expects_files() const { return !outs_.empty(); }

  // Once, with `count` results in the order of the request; those that are missing were not tried.
  std::vector<CopiedFile> Finish(const CopyResult* results, size_t count);

  // Forgets all without touching a file, for the copy that a fork has.
  void Abandon();

 private:
  struct In {
    UniqueFd source;
    std::string destination;
    uint32_t mode;
  };
  struct Out {
    CopyOut asked;
    UniqueFd directory;
    std::string name;     // In that directory.
    std::string beside;   // The name that `sink` has until it is complete; "" if it has none.
    UniqueFd sink;
  };
  static std::string Keep(Out& out);

  std::vector<In> ins_;
  std::vector<Out> outs_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_COPY_COPIES_H_
