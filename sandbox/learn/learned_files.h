// From the files that a program used to those that a policy must show.
#ifndef BROOD_SANDBOX_LEARN_LEARNED_FILES_H_
#define BROOD_SANDBOX_LEARN_LEARNED_FILES_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sandbox/learn/evidence.h"
#include "sandbox/learn/trace.h"

namespace brood {

struct NeededFile {
  std::string path;
  bool writable = false;
  bool memory = false;  // A directory of the child's own: nothing was left in it.
  std::string link;     // Where it leads, if it is one that was read as such.
  std::string evidence;
};

class LearnedFiles {
 public:
  // A call that named `path` and did not fail.
  void Use(const TracedCall& call, const std::string& given);

  // One that gave a file a name beside another one, or instead of it, and did not fail.
  void UseBoth(const TracedCall& call);

  // A link to a directory behind which ".." stood in the path of such a call.
  void UseCrossed(const TracedCall& call, const std::string& link);

  // Looks at the file system as it is after the run. Of the system, its programs and libraries, a policy shows what `strict`
  // does, with whole directories; of the rest each file, and a directory if it was listed or something was made in it.
  std::vector<NeededFile> Needed() const;

  // Whether a call that did not fail named it.
  bool used(const std::string& path) const { return files_.count(path) != 0; }

  // What was used and cannot be shown, or should not be written.
  const std::map<std::string, Evidence>& left_out() const { return left_out_; }

 private:
  struct FileUse {
    bool write = false;
    bool makes_entries = false;  // Names in it were made or removed.
    bool lists = false;
    bool reads_link = false;  // It was looked at as a link: a file in its place would not do.
    std::set<std::string> joins;  // Directories below it that must be in one mount.
    Evidence evidence;
    std::string through;  // The path that was named, if a link led from there.
  };
  // With what links lead to.
  std::map<std::string, FileUse> Reached() const;
  void Make(const TracedCall& call, const std::string& path);
  // A file whose name, or a link whose target, no policy can have: the nearest directory above it whose name one can is shown as a whole.
  void UseDirectoryOf(const TracedCall& call, const std::string& path, bool writes);

  std::map<std::string, FileUse> files_;
  std::set<std::string> made_;
  std::map<std::string, Evidence> left_out_;
};

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_LEARNED_FILES_H_
