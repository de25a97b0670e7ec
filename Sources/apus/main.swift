Apus.start()
