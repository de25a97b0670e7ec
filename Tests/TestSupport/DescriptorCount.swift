import Glibc

/// How many descriptors the process has open, those of other tests included: for suites that run alone.
public func openDescriptorCount() -> Int {
  guard let folder = opendir("/proc/self/fd") else { return -1 }
  defer { closedir(folder) }
  var count = 0
  while readdir(folder) != nil { count += 1 }
  // Without the folder itself, "." and "..".
  return count - 3
}
