"""What importing the package does besides defining names: plug-ins, and a warning of conflicts."""
