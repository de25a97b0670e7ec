/// A file that is loaded beside a Multiboot kernel, with the text that it is given.
struct MultibootModule: Sendable {
  let file: BootFile
  /// The path and the arguments, as the user wrote them.
  let text: String

  /// Opens the file of `text`, whose path ends at the first space.
  init(opening text: String) throws(BootError) {
    file = try BootFile(opening: String(text.prefix { $0 != " " }))
    guard file.count > 0 else { throw .emptyFile(path: file.path) }
    self.text = text
  }
}
