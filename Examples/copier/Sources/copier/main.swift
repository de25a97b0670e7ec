import DeviceKit

DeviceMain.run(Copier.model)
